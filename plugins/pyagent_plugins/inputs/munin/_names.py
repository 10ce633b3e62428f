"""Which plugin a name is of: a link's goes on with an instance, and one of SNMP has a device's name in its midst."""

from collections.abc import Sequence

__all__ = ["device_of", "split_link", "split_name"]

_WILDCARDS = (
    "apc_envunit_ bonding_err_ cmc_tc_sensor_ courier_ cps_ digitemp_ diskstat_ ejabberd_ freeradius_ haproxy_ hp2000_ if_"
    " if_err_ ifx_concurrent_sessions_ ip_ ipmi_ ipmi_sensor_ jmx_ mbmon_ memcached_ mysql_ mysql_isam_space_ nomadix_users_"
    " ntp_ nutups_ nvidia_ ping_ pm3users_ pop_stats_ port_ postgres_cache_ postgres_connections_ postgres_locks_"
    " postgres_oldest_prepared_xact_ postgres_prepared_xacts_ postgres_querylength_ postgres_scans_ postgres_size_"
    " postgres_streaming_ postgres_transactions_ postgres_tuples_ ps_ psu_ quota_usage_ sensors_ slapd_ slapd_bdb_cache_"
    " slony_lag_ smart_ snmp__fc_if_ snmp__fc_if_err_ snmp__if_ snmp__if_err_ snmp__netapp_diskusage_"
    " snmp__netapp_inodeusage_ squeezebox_ tomcat_ varnish_ vlan_ vlan_inetuse_ vlan_linkuse_ vserver_cpu_"
    " vserver_resources_ zimbra_"
)
_WHOLE = (
    "courier_mta_mailqueue courier_mta_mailstats courier_mta_mailvolume freeradius_acct freeradius_auth"
    " freeradius_proxy_acct freeradius_proxy_auth haproxy_ng jmx_tomcat_dbpools mysql_bytes mysql_innodb mysql_queries"
    " mysql_slowqueries mysql_threads ntp_kernel_err ntp_kernel_pll_freq ntp_kernel_pll_off ntp_offset ntp_states"
    " postgres_connections_db tomcat_access tomcat_jvm tomcat_threads tomcat_volume"
)
"""They begin as one of those do, and are plugins themselves."""


def split_link(name: str, target: str) -> tuple[str, str]:
    """Base and instance of a link to the file `target`: `if_eth0` to `if_` is `if` and `eth0`, `snmp_router_if_2` to
    `snmp__if_` is `snmp_if` and `2`."""
    prefix, device, rest = target.partition("__")
    if device and prefix and rest and name.startswith(f"{prefix}_"):
        _, found, instance = name[len(prefix) + 1 :].partition(f"_{rest}")
        if found and (not instance or rest.endswith("_")):
            return f"{prefix}_{rest.rstrip('_')}", instance
    elif target.endswith("_") and name.startswith(target) and name != target:
        return target.rstrip("_"), name[len(target) :]
    return name, ""


def split_name(name: str, wildcards: Sequence[str]) -> tuple[str, str]:
    """The same where the file is unknown, by the longest of `wildcards` that the name begins with; none: those of Munin."""
    if not wildcards and name in _WHOLE.split():
        return name, ""
    known = wildcards or _WILDCARDS.split()
    found = max((one for one in known if name.startswith(one) and name != one), key=len, default="")
    base, instance = (found.rstrip("_"), name[len(found) :]) if found else (name, "")
    return f"snmp_{base[6:]}" if base.startswith("snmp__") else base, instance


def device_of(name: str, node: str) -> str:
    """The name without the device that its node is called after: `snmp_router_if_2` is `snmp__if_2`. A node has its name in
    small letters."""
    prefix, found, rest = name.lower().partition(f"_{node.lower()}_")
    return f"{prefix}__{name[len(name) - len(rest) :]}" if found and prefix == "snmp" else name
