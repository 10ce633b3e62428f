"""munin-node with plugins and settings of one's own."""

import grp
import os
import pwd
import socket
from pathlib import Path

from pyagent.testing.server_process import Server, find_program

__all__ = ["MuninNode"]

# munin-node has no option for where its plugins lie. PERL5LIB is heeded by it and by munin-run.
_DEFAULTS = """do "/usr/share/perl5/Munin/Common/Defaults.pm" or die "cannot load Munin::Common::Defaults";
package Munin::Common::Defaults;
our $MUNIN_CONFDIR = "{folder}/etc";
our $MUNIN_PLUGSTATE = "{folder}/state";
1;
"""


class MuninNode(Server):
    """munin-node at `address` with the links in `plugins` and the settings in `configuration`.

    For root the accounts of `nobody` and others have to get to both. It is ready once it has asked each plugin for `config`.
    """

    name = "munin-node"
    host = "proof.example"

    def __init__(self, plugins: Path, configuration: Path) -> None:
        super().__init__()
        self._plugins = plugins
        self._configuration = configuration

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def state(self) -> Path:
        """Where plugins keep what they remember."""
        return self.directory / "state"

    @property
    def number(self) -> int:
        """Of its process."""
        return int((self.directory / "pid").read_text())

    def munin_run(self, plugin: str, question: str = "") -> list[str]:
        """The command that runs one of its plugins by munin-run, in `environment`."""
        program = find_program("munin-run", "munin-run", "munin-node")
        folders = ["--servicedir", str(self._plugins), "--sconfdir", str(self._configuration)]
        config = ["--config", str(self.directory / "node.conf"), "--ignore-systemd-properties"]
        return [program, *folders, *config, plugin, *([question] if question else [])]

    @property
    def environment(self) -> dict[str, str]:
        """Of munin-node and munin-run."""
        return self._environment()

    def prepare(self) -> None:
        self.directory.chmod(0o755)  # for the accounts of plugins
        defaults = self.directory / "perl" / "Munin" / "Common" / "Defaults.pm"
        defaults.parent.mkdir(parents=True)
        defaults.write_text(_DEFAULTS.format(folder=self.directory))
        (self.directory / "etc").mkdir()
        (self.directory / "etc" / "plugins").symlink_to(self._plugins)
        (self.directory / "etc" / "plugin-conf.d").symlink_to(self._configuration)
        self.state.mkdir()

    def command(self) -> list[str]:
        program = find_program("munin-node", self.name, "munin-node")
        config = self.directory / "node.conf"
        lines = [
            "background 0",
            "setsid 0",
            f"log_file {self.directory}/node.log",
            f"pid_file {self.directory}/pid",
            f"user {pwd.getpwuid(os.geteuid()).pw_name}",
            f"group {grp.getgrgid(os.getegid()).gr_name}",
            f"host_name {self.host}",
            "host 127.0.0.1",
            f"port {self.port}",
            r"allow ^127\.0\.0\.1$",
            "log_level 1",
        ]
        config.write_text("\n".join([*lines, ""]))
        return [program, "--config", str(config)]

    def answers(self) -> bool:
        # The port is open before the plugins have been asked, and it greets only afterwards.
        try:
            with socket.create_connection(("127.0.0.1", self.port), 30) as connection:
                return connection.recv(100).startswith(b"# munin node at ")
        except OSError:
            return False

    def _environment(self) -> dict[str, str]:
        return super()._environment() | {"PERL5LIB": str(self.directory / "perl")}
