"""InfluxDB 2's management API and queries, through influxdb-client: for commands, never on the gather path.

Importing this costs about 0.2 s and 20 MiB, so a command does it when it runs.
"""

from pyagent.influxdb.connection import InfluxDBError, checked_url
from pyagent.influxdb.documents import Authorization, Bucket, Hosted, Organization, Rights
from pyagent.influxdb.management import CUSTOM, Management
from pyagent.influxdb.recognition import ServerState, server_state
from pyagent.influxdb.server import Configuration, InfluxDB

__all__ = [
    "CUSTOM",
    "Authorization",
    "Bucket",
    "Configuration",
    "Hosted",
    "InfluxDB",
    "InfluxDBError",
    "Management",
    "Organization",
    "Rights",
    "ServerState",
    "checked_url",
    "server_state",
]
