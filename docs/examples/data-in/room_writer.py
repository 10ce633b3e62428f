"""The temperature of a room, written to InfluxDB by a script: `python room_writer.py SENSOR ROOM`, by hand or from cron.

INFLUX_HOST, INFLUX_TOKEN, INFLUX_ORG and INFLUX_BUCKET say where it goes.
"""

import sys
from pathlib import Path

from pyagent.client import Writer

sensor, room = Path(sys.argv[1]), sys.argv[2]
writer = Writer()
writer.write("room", {"celsius": int(sensor.read_text()) / 1000}, {"room": room})
if lost := writer.close():  # it delivers, also where this is left out; a script that cron runs should fail, though
    sys.exit(f"points lost: {lost}")
