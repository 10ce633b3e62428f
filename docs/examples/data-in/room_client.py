"""The temperature of a room, handed by influxdb-client to the agent of this host: `python room_client.py SENSOR ROOM`.

The agent answers when its queue holds the point, and delivers it, however long InfluxDB is away. LISTENER is its address,
LISTENER_TOKEN the token of its listener; organization and bucket are the agent's business.
"""

import os
import sys
from pathlib import Path

from influxdb_client import InfluxDBClient, Point
from influxdb_client.client.write_api import SYNCHRONOUS

sensor, room = Path(sys.argv[1]), sys.argv[2]
with InfluxDBClient(os.environ["LISTENER"], os.environ["LISTENER_TOKEN"], org="any") as client:
    point = Point("room").tag("room", room).field("celsius", int(sensor.read_text()) / 1000)
    client.write_api(write_options=SYNCHRONOUS).write("any", record=point)
