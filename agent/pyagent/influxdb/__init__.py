"""InfluxDB 2's management API and queries, through influxdb-client: for commands, never on the gather path.

Importing this costs about 0.2 s and 20 MiB, so a command does it when it runs.
"""

from pyagent.influxdb.server import Configuration, InfluxDB, InfluxDBError

__all__ = ["Configuration", "InfluxDB", "InfluxDBError"]
