"""Runs plugins of Munin, and asks munin-node.

Plugins run as munin-node runs them: links with wildcards, plugin-conf.d, multigraph, dirtyconfig. They may lie in
/etc/munin/plugins as they are. A munin-node on another host is asked over TCP as Munin's master does.
"""

import asyncio
import os
import time
from collections.abc import Sequence
from functools import partial
from typing import Annotated, Literal

from pyagent.api import Accumulator, ConfigError, Duration, Input, Measurement, Options, PyagentError, option
from pyagent.kit.connection import ServerAddress
from pyagent.kit.each import for_each, for_each_in_threads, joined_failures
from pyagent.kit.filter import name_filter
from pyagent.kit.laggards import EachInThreads

from ._answers import CONFIG, Names, State
from ._folder import Folder, Program
from ._graphs import Graphs
from ._names import device_of, split_name
from ._node import NodeClient, PluginFailed, node_client
from ._suggest import suggestions

__all__ = ["Munin", "MuninOptions"]

_PORT = 4949


class MuninOptions(Options, frozen=True):
    directory: Annotated[str, option("the folder of plugins, such as /etc/munin/plugins", executes=True)] = ""
    servers: Annotated[list[str], option("nodes to ask, HOST or HOST:PORT (4949)")] = []
    plugins: Annotated[list[str], option("patterns of the plugins' names ([]: all of them)")] = []
    exclude: Annotated[list[str], option("patterns of plugins to leave out")] = []
    configuration: Annotated[str, option("the folder of their settings", executes=True)] = "/etc/munin/plugin-conf.d"
    library: Annotated[str, option("Munin's own folder, MUNIN_LIBDIR", executes=True)] = "/usr/share/munin"
    state: Annotated[str, option("where plugins keep their state, MUNIN_PLUGSTATE", writes=True)] = (
        "/var/lib/munin-node/plugin-state"
    )
    counters: Annotated[
        Literal["raw", "rates"],
        option("COUNTER, DERIVE and ABSOLUTE as they are given, or as change per second"),
    ] = "raw"
    prefix: Annotated[str, option("what each measurement begins with")] = "munin_"
    wildcards: Annotated[
        list[str], option("plugins of nodes whose name goes on with an instance ([]: those that Munin has)")
    ] = []
    timeout: Annotated[Duration, option("for a plugin that has none of its own; for a node in all", gt="0s")] = (
        Duration("60s")
    )
    config_interval: Annotated[
        Duration, option("how often plugins are asked for their types, and folders are read", ge="0s")
    ] = Duration("5m")
    at_once: Annotated[int, option("plugins that run side by side", ge=1, le=64)] = 4


class Munin(Input[MuninOptions]):
    measurements = (
        Measurement(
            "NAME",
            "A measurement for each graph, `munin_cpu`, whose fields are those of the plugin.",
            tags={
                "instance": "what the link adds to the plugin's name: eth0 of if_eth0",
                "graph": "the part of a plugin with several graphs: sda of diskstats_latency.sda",
                "node": "the host that it is about, of a node or of a plugin with a host_name",
            },
            open=True,
        ),
    )

    def setup(self) -> None:
        options = self.options
        if not options.directory and not options.servers:
            raise ConfigError(
                'there is no plugin to run; set directory = "/etc/munin/plugins", or servers to nodes',
                option="directory",
            )
        self._wanted = name_filter(options.plugins, options.exclude, names=("plugins", "exclude"))
        self._servers = [ServerAddress.of(text, default_port=_PORT) for text in options.servers]
        self._folder = (
            Folder(
                options.directory,
                options.configuration,
                library=options.library,
                state=options.state,
                timeout=options.timeout.seconds,
                complain=self._complain,
            )
            if options.directory
            else None
        )
        self._each = EachInThreads(at_once=options.at_once)
        self._clock = time.monotonic
        self._programs: dict[str, Program] = {}
        self._wrong: list[Exception] = []
        """Plugins that cannot be run as they are set."""
        self._read: float | None = None
        self._states: dict[tuple[str, str, str], State] = {}
        """By server, node and plugin."""
        self._told: set[str] = set()
        self._stopped = False

    def gather(self, acc: Accumulator) -> None:
        failures: list[Exception] = []
        if self._folder is not None:
            try:
                self._read_folder(self._folder)
            except PyagentError as error:
                failures.append(error)
            failures += self._wrong
            try:
                # A few at a time: one that takes long holds up itself alone.
                self._each.run({name: partial(self._run, one, acc) for name, one in self._programs.items()})
            except Exception as error:
                failures.append(error)
        if self._servers:
            try:
                asyncio.run(for_each(self._servers, lambda server: self._ask_node(server, acc)))
            except Exception as error:
                failures.append(error)
        if failures:
            raise joined_failures(failures)

    async def stop(self) -> None:
        self._stopped = True
        for program in self._programs.values():
            program.stop()

    def ask_measurements(self) -> Sequence[Measurement]:
        """What plugins and nodes say of their graphs to `config`."""
        graphs = Graphs(rates=self.options.counters == "rates")
        failures: list[Exception] = []

        def ask(program: Program) -> None:
            tags = ["node"] if program.settings.host_name else []
            names = Names(self.options.prefix, program.name, *program.split)
            graphs.add(program.ask("config"), names, tags)

        async def ask_node(server: ServerAddress) -> None:
            async with node_client(server, self.options.timeout.seconds) as client:
                for node in await client.nodes():
                    for plugin in filter(self._wanted, await client.plugins(node)):
                        try:
                            text = await client.ask(plugin, CONFIG)
                        except PluginFailed as error:
                            failures.append(error)
                            continue
                        names = Names(
                            self.options.prefix, plugin, *split_name(device_of(plugin, node), self.options.wildcards)
                        )
                        graphs.add(text, names, ["node"])

        try:
            if self._folder is not None:
                self._read_folder(self._folder)
                failures += self._wrong
                for_each_in_threads(list(self._programs.values()), ask, at_once=self.options.at_once)
        except PyagentError as error:
            failures.append(error)
        try:
            asyncio.run(for_each(self._servers, ask_node))
        except PyagentError as error:
            failures.append(error)
        found = graphs.measurements()
        if failures and not found:
            raise joined_failures(failures)
        for failure in failures:
            self.log.warning("%s", failure)
        return found

    def origins(self) -> Sequence[str]:
        programs = list(self._programs.values())
        return [f"{one.name}: {one.file}" for one in programs]

    @staticmethod
    def suggest() -> list[str]:
        """What `pyagent plugins suggest munin` prints."""
        return suggestions(MuninOptions())

    def _run(self, program: Program, acc: Accumulator) -> None:
        if self._stopped:
            return
        base, instance = program.split
        tags = {"node": program.settings.host_name} if program.settings.host_name else {}
        state = self._state(("", "", program.name), Names(self.options.prefix, program.name, base, instance), tags)
        question = state.question
        while True:
            text = program.ask("config" if question == CONFIG else "")
            try:
                metrics = state.take(question, text, time.time_ns())
            except PyagentError as error:
                raise PyagentError(f"cannot read what Munin's plugin {program.name} prints: {error}") from None
            if metrics is not None:
                acc.add_metrics(metrics)
                return
            question = "fetch"

    async def _ask_node(self, server: ServerAddress, acc: Accumulator) -> None:
        failures: list[Exception] = []
        async with node_client(server, self.options.timeout.seconds) as client:
            for node in await client.nodes():
                for plugin in filter(self._wanted, await client.plugins(node)):
                    try:
                        await self._ask_plugin(client, server, node, plugin, acc)
                    except PluginFailed as error:
                        failures.append(error)
        if failures:
            raise joined_failures(failures)

    async def _ask_plugin(
        self, client: NodeClient, server: ServerAddress, node: str, plugin: str, acc: Accumulator
    ) -> None:
        names = Names(self.options.prefix, plugin, *split_name(device_of(plugin, node), self.options.wildcards))
        state = self._state((str(server), node, plugin), names, {"node": node})
        question = state.question
        while True:
            text = await client.ask(plugin, question)
            try:
                metrics = state.take(question, text, time.time_ns())
            except PyagentError as error:
                raise PluginFailed(f"cannot read {plugin} of {server}: {error}") from None
            if metrics is not None:
                acc.add_metrics(metrics)
                return
            question = "fetch"

    def _state(self, key: tuple[str, str, str], names: Names, tags: dict[str, str]) -> State:
        if key not in self._states:
            self._states[key] = State(
                names,
                tags,
                rates=self.options.counters == "rates",
                every=self.options.config_interval.seconds,
                clock=self._clock,
            )
        return self._states[key]

    def _read_folder(self, folder: Folder) -> None:
        """The plugins that there are, where it is time to look again."""
        now = self._clock()
        if self._read is not None and now - self._read < self.options.config_interval.seconds:
            return
        found = list(folder.programs(self._wanted))
        self._programs = {one.name: one for one in found if isinstance(one, Program)}
        self._wrong = [one for one in found if isinstance(one, PyagentError)]
        self._read = now
        if lacking := [program for program in self._programs.values() if program.lacking]:
            names = ", ".join(sorted(program.name for program in lacking)[:20])
            self._complain(
                f"{names}: {lacking[0].lacking} and others want another account, which takes root; they run as the agent's"
                f" own (user id {os.geteuid()}): run the agent as root, or leave them out by `exclude`"
            )

    def _complain(self, message: str) -> None:
        if message not in self._told:
            self._told.add(message)
            self.log.warning("%s", message)
