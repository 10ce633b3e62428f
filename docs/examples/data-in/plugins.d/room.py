"""The temperature of a room, gathered by the agent at every interval."""

from pathlib import Path
from typing import Annotated

from pyagent.api import Accumulator, Field, Input, Measurement, Options, option


class RoomOptions(Options, frozen=True):
    sensor: Annotated[str, option("file with thousandths of a degree", reads_path=True)]
    room: Annotated[str, option("name of the room")]


class Room(Input[RoomOptions]):
    measurements = (
        Measurement(
            "room",
            "How warm a room is.",
            tags={"room": "its name"},
            fields={"celsius": Field("float", "°C", "the temperature")},
        ),
    )

    def gather(self, acc: Accumulator) -> None:
        celsius = int(Path(self.options.sensor).read_text()) / 1000
        acc.add("room", {"celsius": celsius}, {"room": self.options.room})
