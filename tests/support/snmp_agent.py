"""Debian's snmpd."""

import asyncio

from pyagent.testing.servers import Server, find_program

COMMUNITY = "secret1"
USER = {
    "version": 3,
    "sec_name": "mon",
    "sec_level": "authPriv",
    "auth_protocol": "SHA256",
    "auth_password": "authpass12",
    "priv_protocol": "AES",
    "priv_password": "privpass12",
}


class Snmpd(Server):
    """At `address`, for the community COMMUNITY and the user of USER."""

    name = "snmpd"

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        config = self.directory / "snmpd.conf"
        user = "createUser mon SHA-256 authpass12 AES privpass12\nrouser mon priv\n"
        config.write_text(f"rocommunity {COMMUNITY} 127.0.0.1\n{user}")
        parts = "ifTable,ifXTable,system_mib,usmConf,vacm_conf"
        program = find_program("snmpd", self.name, "snmpd")
        settings = f"SNMP_PERSISTENT_DIR={self.directory}/kept"
        return ["/usr/bin/env", settings, program, *f"-f -Le -C -c {config} -I {parts} udp:{self.address}".split()]

    def answers(self) -> bool:
        from gufo.snmp.aio import SnmpSession

        async def ask() -> object:
            return await SnmpSession("127.0.0.1", self.port, community=COMMUNITY, timeout=1).get("1.3.6.1.2.1.1.1.0")

        try:
            return asyncio.run(ask()) is not None
        except (OSError, TimeoutError):
            return False
