"""What each network interface receives and sends, in bytes per second."""

from typing import Annotated

from pyagent.api import Accumulator, Input, Measurement, Options, fields, option
from pyagent.kit.filter import name_filter
from pyagent.kit.procfs import host_path, read_rows
from pyagent.kit.since import Since


class NetRatesOptions(Options, frozen=True):
    interfaces: Annotated[list[str], option("report these alone, wildcards allowed ([]: all)")] = []
    ignored_interfaces: Annotated[list[str], option("leave these out, wildcards allowed")] = []


class NetRates(Input[NetRatesOptions]):
    measurements = (
        Measurement(
            "net_rates",
            tags={"interface": "its name"},
            fields=fields("float", "bytes/s", received="received", sent="sent"),
        ),
    )
    compares = True

    def setup(self) -> None:
        options = self.options
        names = ("interfaces", "ignored_interfaces")
        self._wanted = name_filter(options.interfaces, options.ignored_interfaces, names=names)
        self._since = Since[str]()

    def gather(self, acc: Accumulator) -> None:
        with self._since.gather():
            for row in read_rows(host_path("proc", "net", "dev")):
                name = row.words[0].removesuffix(":")
                if row.number <= 2 or not self._wanted(name):
                    continue
                change = self._since.change(name, {"received": row.unsigned(1), "sent": row.unsigned(9)})
                if change is not None:
                    acc.add("net_rates", change.rates, {"interface": name})
