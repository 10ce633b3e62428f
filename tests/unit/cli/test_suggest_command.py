"""`pyagent plugins suggest munin`, with plugins that answer in all ways."""

import os
import pwd
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from commands import Done

from pyagent_plugins.inputs import munin
from pyagent_plugins.inputs.munin import _suggest

Run = Callable[..., Done]
AUTO = "#%# family=auto\n#%# capabilities=autoconf"
BOTH = f"{AUTO} suggest"


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of plugins that the command asks, each for a second at most; links are looked for in `links`."""
    for name in ("plugins", "links", "conf.d"):
        (tmp_path / name).mkdir()
    (tmp_path / "conf.d" / "one").write_text(f"[*]\nuser {pwd.getpwuid(os.geteuid()).pw_name}\n")
    options = partial(
        munin.MuninOptions,
        library=str(tmp_path),
        configuration=str(tmp_path / "conf.d"),
        state=str(tmp_path / "state"),
    )
    monkeypatch.setattr(munin, "MuninOptions", options)
    monkeypatch.setattr(munin, "suggestions", partial(_suggest.suggestions, links=str(tmp_path / "links"), seconds=60))
    return tmp_path / "plugins"


def plant(library: Path, name: str, capabilities: str, text: str, mode: int = 0o755) -> None:
    (library / name).write_text(f"#!/bin/sh\n{capabilities}\necho {name} >>{library}/../asked\n{text}\n")
    (library / name).chmod(mode)


def test_each_answer_is_a_line_and_nothing_is_changed(pyagent: Run, library: Path) -> None:
    links = library.parent / "links"
    suggest = 'case "$1" in autoconf) echo yes;; suggest) echo "eth0 eth1"; echo "../x a;b lo";; esac'
    plant(library, "cpu", AUTO, "echo yes")
    plant(library, "if_", BOTH, suggest)
    plant(library, "load", AUTO, "echo yes")
    (links / "load").symlink_to(library / "load")
    plant(library, "nfsd", AUTO, "echo no")
    plant(library, "old", AUTO, "echo 'no (no server)'; exit 1")
    plant(library, "mysql_", BOTH, 'echo "no (two\nlines \033[31mred)"')
    plant(library, "ping_", AUTO, "echo yes")
    plant(library, "odd", AUTO, "echo perhaps")
    plant(library, "fails_", BOTH, '[ "$1" = autoconf ] && echo yes || { echo broken >&2; exit 3; }')
    plant(library, "cannot", AUTO, "echo yes", mode=0o644)
    plant(library, "by_hand", "#%# family=manual\n#%# capabilities=autoconf", "echo yes")
    plant(library, "from_others", "#%# capabilities=autoconf", "echo yes")
    done = pyagent("plugins", "suggest", "munin")
    assert (done.status, done.err) == (0, "")
    assert done.out.splitlines() == [
        f"ln -s {library}/cpu {links}/cpu",
        f"# fails_: cannot run `{library}/fails_ suggest`: exit status 3: broken",
        f"ln -s {library}/if_ {links}/if_eth0",
        f"ln -s {library}/if_ {links}/if_eth1",
        f"ln -s {library}/if_ {links}/if_lo",
        "# load: yes, and linked",
        r"# mysql_: no (two lines \x1b[31mred)",
        "# nfsd: no",
        "# odd: its answer to autoconf is neither yes nor no: 'perhaps'",
        "# old: no (no server)",
        "# ping_: yes; it names no instance, so link it as ping_INSTANCE yourself",
        "#",
        "# [[inputs.munin]]",
        f'#   directory = "{links}"',
        "# plugins of the family manual, which are not asked: 1; link what you want of them yourself",
    ]
    assert os.listdir(links) == ["load"]
    asked = (library.parent / "asked").read_text().split()
    assert not {"cannot", "by_hand", "from_others"} & set(asked)


def test_one_that_hangs_is_ended_and_named(pyagent: Run, library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(munin, "suggestions", partial(munin.suggestions, seconds=0.2))
    plant(library, "hangs", AUTO, "exec sleep 1000")
    done = pyagent("plugins", "suggest", "inputs.munin")
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith(f"# hangs: cannot run `{library}/hangs autoconf`: it took longer than 200ms")
    assert "[[inputs.munin]]" not in done.out


def test_what_takes_long_in_all_is_not_asked(pyagent: Run, library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([0.0, 1.0, 121.0])
    monkeypatch.setattr(munin, "suggestions", partial(munin.suggestions, clock=lambda: next(times)))
    monkeypatch.setattr(_suggest, "_AT_ONCE", 1)
    plant(library, "a", AUTO, "echo yes")
    plant(library, "b", AUTO, "echo yes")
    assert pyagent("plugins", "suggest", "munin").out.splitlines()[1] == (
        "# b: not asked, as the others took longer than 120 s"
    )
    assert (library.parent / "asked").read_text() == "a\n"


def test_what_is_printed_is_bounded(pyagent: Run, library: Path) -> None:
    plant(library, "many_", BOTH, '[ "$1" = autoconf ] && echo yes || seq 1000')
    plant(library, "talks", AUTO, "echo no '('; yes reason | head -n 5000; echo ')'")
    plant(library, "floods", AUTO, "exec yes")
    lines = pyagent("plugins", "suggest", "munin").out.splitlines()
    assert len(lines) == 100 + 1 + 2 + 3
    assert "# many_: 900 more instances" in lines
    assert max(map(len, lines)) < 1000
    assert any(line.endswith("autoconf`: it printed more than 4 MiB") for line in lines)


def test_what_cannot_be_read_is_one_error(pyagent: Run, library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (library.parent / "conf.d" / "two").write_text("[a]\nuser\n")
    plant(library, "cpu", AUTO, "echo yes")
    done = pyagent("plugins", "suggest", "munin")
    assert done.status == 0
    assert "two:2: it is not NAME VALUE" in done.out
    library.rename(library.parent / "moved")
    done = pyagent("plugins", "suggest", "munin")
    assert (done.status, done.out) == (1, "")
    assert done.err.startswith(f"E! cannot read {library}: No such file or directory; apt install munin-plugins-core")
    assert done.err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("mem",), "cannot suggest anything for mem: it runs nothing of others; see pyagent plugins show mem"),
        (("munim",), "did you mean inputs.munin?"),
        ((), "plugins suggest KIND.NAME"),
    ],
)
def test_mistakes(pyagent: Run, words: tuple[str, ...], message: str) -> None:
    done = pyagent("plugins", "suggest", *words)
    assert (done.status, done.out) == (1, "")
    assert message in done.err
