from pyagent.testing.outputs import MemoryBatch, make_output, write
from pyagent_plugins.outputs.discard import Discard


async def test_takes_everything() -> None:
    plugin = make_output(Discard)
    await plugin.connect()
    await write(plugin, MemoryBatch(["m v=1 1"] * 1000))
    await plugin.close()
