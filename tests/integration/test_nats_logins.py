"""Signing in at nats-server by nkeys and by credentials, with openssl in the place of the library nkeys."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import nkeys_by_openssl as keys
import pytest
from consumed import until
from nats_streams import DEADLINE
from serving import serving

from pyagent.api import Metric, PyagentError
from pyagent.testing.outputs import make_batch, make_output, write
from pyagent.testing.servers import NatsServer
from pyagent_plugins.inputs.nats_consumer import NATSConsumer
from pyagent_plugins.outputs.nats import NATS


@pytest.fixture(autouse=True)
def library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nkeys", keys)


@asynccontextmanager
async def server(authorization: str) -> AsyncIterator[NatsServer]:
    made = NatsServer(authorization=authorization)
    await asyncio.to_thread(made.start)
    try:
        yield made
    finally:
        await asyncio.to_thread(made.stop)


async def goes_through(at: NatsServer, table: dict[str, Any]) -> None:
    """What the output writes comes to the input."""
    options = {"servers": [at.url], **table}
    output = make_output(NATS, options)
    async with serving(NATSConsumer, {**options, "subjects": ["telegraf"]}, listens=False) as served:
        await output.connect()
        async with asyncio.timeout(DEADLINE):
            await write(output, make_batch(output, [Metric("m", {}, {"v": 1}, 1)]))
        assert await until(served, 1) == ["m,subject=telegraf v=1i"]
    await output.close()


async def test_by_the_seed_of_an_nkey(tmp_path: Path) -> None:
    user, other = keys.new_key(keys.USER), keys.new_key(keys.USER)
    assert keys.from_seed(user.seed).public_key == user.public_key
    seed = tmp_path / "seed"
    async with server(f"accounts {{ A {{ users: [ {{ nkey: {user.public_key.decode()} }} ] }} }}") as at:
        seed.write_bytes(user.seed + b"\n")
        await goes_through(at, {"nkey_seed": str(seed)})
        seed.write_bytes(other.seed)
        with pytest.raises(PyagentError, match=r"(?i)authorization violation"):
            await make_output(NATS, {"servers": [at.url], "nkey_seed": str(seed)}).connect()
        seed.unlink()
        with pytest.raises(PyagentError, match=r"cannot read the file of nkey_seed: No such file .*; correct its path"):
            await make_output(NATS, {"servers": [at.url], "nkey_seed": str(seed)}).connect()


async def test_by_credentials_in_a_file_or_given_themselves(tmp_path: Path) -> None:
    operator, system, account, user = (
        keys.new_key(kind) for kind in (keys.OPERATOR, keys.ACCOUNT, keys.ACCOUNT, keys.USER)
    )
    limits = dict.fromkeys(("subs", "data", "payload", "imports", "exports", "conn", "leaf"), -1)
    operator_token = keys.token(operator, operator, "O", {"type": "operator"})
    accounts = {
        one.public_key.decode(): keys.token(
            operator, one, "A", {"type": "account", "limits": limits | {"wildcards": True}}
        )
        for one in (system, account)
    }
    claims = {"type": "user", "subs": -1, "data": -1, "payload": -1, "pub": {}, "sub": {}}
    user_token = keys.token(account, user, "U", claims)
    text = keys.credentials(user_token, user)
    file = tmp_path / "user.creds"
    file.write_text(text)
    preload = "\n".join(f"  {key}: {jwt}" for key, jwt in accounts.items())
    resolver = f"system_account: {system.public_key.decode()}\nresolver: MEMORY\nresolver_preload {{\n{preload}\n}}"
    async with server(f"operator: {operator_token}\n{resolver}") as at:
        await goes_through(at, {"credentials": str(file)})
        await goes_through(at, {"credentials": text})
        with pytest.raises(PyagentError, match="cannot read the file of credentials: No such file"):
            await make_output(NATS, {"servers": [at.url], "credentials": str(tmp_path / "none")}).connect()
