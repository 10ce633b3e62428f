"""What inputs that run programs say of their options."""

import ast
from pathlib import Path

from pyagent.config.catalog import Catalog


def test_a_deadline_names_an_option_that_there_is(root: Path) -> None:
    """`see TIMEOUT` sends people to an option; where the time is fixed, there is none."""
    wrong, seen = [], 0
    for entry in Catalog().entries("inputs"):
        place = root / "plugins/pyagent_plugins/inputs" / entry.name
        sources = [place.with_suffix(".py")] if not place.is_dir() else sorted(place.glob("*.py"))
        for call in (node for path in sources for node in ast.walk(ast.parse(path.read_bytes()))):
            if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "Commands"):
                continue
            seen += 1
            named = [word.value for word in call.keywords if word.arg == "timeout_option"]
            option = ast.literal_eval(named[0]) if named else "timeout"
            if option and not hasattr(Catalog().load(entry).options_type, option):
                wrong.append((entry.name, option))
    assert seen > 10
    assert not wrong
