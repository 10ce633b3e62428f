"""Types of values: what a list of values holds, from a file types.db or of our own."""

__all__ = ["OWN", "Source", "read_types"]

Source = tuple[str, str, float | None, float | None]
"""Name, kind (gauge, counter, derive, absolute), least and greatest value."""

_KINDS = ("gauge", "counter", "derive", "absolute")
_GAUGES = """
    connections count current current_connections current_sessions delay df_complex duration
    entropy fanspeed files frequency gauge humidity latency memory objects percent pressure processes ps_count_total
    queue_length response_time running sessions signal_power snr state swap temperature threads time_left timeleft
    uptime users vmpage_number voltage power bitrate bytes capacity charge clock current_power energy
"""
_DERIVES = """
    bytes_total cache_operation cache_result compression_total conntrack_total cpu derive email_count errors fork_rate
    http_requests http_response_codes if_dropped_total if_errors_total invocations io_packets irq memory_total
    mysql_commands nfs_procedure operations packets requests swap_io total_bytes total_connections total_objects
    total_operations total_requests total_sessions total_threads total_time_in_ms total_values vmpage_action
"""
_PAIRS = {
    "disk_latency": "read write",
    "disk_merged": "read write",
    "disk_octets": "read write",
    "disk_ops": "read write",
    "disk_time": "read write",
    "if_dropped": "rx tx",
    "if_errors": "rx tx",
    "if_octets": "rx tx",
    "if_packets": "rx tx",
    "io_octets": "rx tx",
    "io_ops": "read write",
    "mysql_octets": "rx tx",
    "node_octets": "rx tx",
    "ps_cputime": "user syst",
    "ps_disk_octets": "read write",
    "ps_disk_ops": "read write",
    "ps_pagefaults": "minflt majflt",
    "vmpage_faults": "minflt majflt",
    "vmpage_io": "in out",
}
_SIGNED = ("gauge", "temperature", "voltage", "current", "power", "snr", "signal_power", "humidity", "delay")


def _own() -> dict[str, list[Source]]:
    types: dict[str, list[Source]] = {}
    for name in _GAUGES.split():
        types[name] = [("value", "gauge", None if name in _SIGNED else 0.0, None)]
    for name in _DERIVES.split():
        types[name] = [("value", "derive", 0.0, None)]
    for name, sources in _PAIRS.items():
        kind = "gauge" if name == "disk_latency" else "derive"
        types[name] = [(source, kind, 0.0, None) for source in sources.split()]
    types["load"] = [(name, "gauge", 0.0, 5000.0) for name in ("shortterm", "midterm", "longterm")]
    types["df"] = [("used", "gauge", 0.0, None), ("free", "gauge", 0.0, None)]
    types["ps_count"] = [("processes", "gauge", 0.0, None), ("threads", "gauge", 0.0, None)]
    types["ping"] = [("value", "gauge", 0.0, 65535.0)]
    types["counter"] = [("value", "counter", None, None)]
    types["absolute"] = [("value", "absolute", 0.0, None)]
    return types


def read_types(text: str) -> dict[str, list[Source]]:
    """The types of a file. Lines that are none are left out, as by collectd."""
    types: dict[str, list[Source]] = {}
    for line in text.splitlines():
        words = [] if line.lstrip().startswith("#") else line.replace(",", " ").split()
        try:
            sources = [_source(word) for word in words[1:]]
        except ValueError:
            continue
        if sources:
            types[words[0]] = sources
    return types


def _source(word: str) -> Source:
    """Raises ValueError."""
    name, kind, least, most = word.split(":")
    if kind.lower() not in _KINDS or not name:
        raise ValueError(word)
    return name, kind.lower(), None if least == "U" else float(least), None if most == "U" else float(most)


OWN = _own()
