"""outputs.file on real files, pipes and limits: what it leaves behind, whatever goes wrong."""

import asyncio
import errno
import gzip
import logging
import os
import re
import stat
import subprocess
import sys
import textwrap
import threading
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from full_disk import largest_file

from pyagent.api import ConfigError, LineOptions, Retry
from pyagent.testing.outputs import MemoryBatch, make_output, write
from pyagent_plugins.outputs.file import File

LINES = ["mem,host=a used=1i 10", 'log text="two\nlines" 20', "mem,host=c used=3i 30"]
TEXT = "".join(f"{line}\n" for line in LINES)
OLD = 1_000_000_000  # 2001-09-09


def output(*files: Path | str, **options: Any) -> File:
    return make_output(File, {"files": [str(file) for file in files], **options})


def archives(path: Path) -> list[Path]:
    """The archives of `path`, oldest first."""
    pattern = re.compile(re.escape(path.stem) + r"\.\d{4}-\d\d-\d\d-\d{10}" + re.escape(path.suffix))
    return sorted(one for one in path.parent.iterdir() if pattern.fullmatch(one.name))


class TestFiles:
    async def test_appends_to_each(self, tmp_path: Path) -> None:
        one, two = tmp_path / "one.out", tmp_path / "two.out"
        one.write_text("before\n")
        plugin = output(one, two)
        await write(plugin, MemoryBatch(LINES[:1]))
        await write(plugin, MemoryBatch(LINES[1:]))
        await plugin.close()
        assert one.read_text() == "before\n" + TEXT
        assert two.read_text() == TEXT
        assert two.stat().st_mode & 0o7777 & ~0o644 == 0

    async def test_a_file_named_twice_is_written_once(self, tmp_path: Path) -> None:
        plugin = output(tmp_path / "out", tmp_path / "out")
        await write(plugin, MemoryBatch(LINES))
        await plugin.close()
        assert (tmp_path / "out").read_text() == TEXT

    @pytest.mark.parametrize("away", [lambda path: path.rename(f"{path}.1"), lambda path: path.unlink()])
    async def test_a_file_that_was_moved_is_made_again(self, away: Any, tmp_path: Path) -> None:
        path = tmp_path / "out"
        plugin = output(path)
        await write(plugin, MemoryBatch(["a v=1 1"]))
        away(path)
        await write(plugin, MemoryBatch(["b v=2 2"]))
        await plugin.close()
        assert path.read_text() == "b v=2 2\n"

    async def test_it_can_be_written_again_after_close(self, tmp_path: Path) -> None:
        plugin = output(tmp_path / "out")
        await plugin.close()
        for _ in range(2):
            await write(plugin, MemoryBatch(LINES))
            await plugin.close()
        assert (tmp_path / "out").read_text() == TEXT * 2

    def test_line_options(self) -> None:
        assert output("x").serializer.line_options() == LineOptions()
        own = {"influx_max_line_bytes": 9, "influx_sort_fields": True}
        own |= {"influx_uint_support": True, "influx_omit_timestamp": True}
        expected = LineOptions(max_line_bytes=9, sort_fields=True, uint_support=True, omit_timestamp=True)
        assert output("x", **own).serializer.line_options() == expected


class TestFailures:
    @pytest.mark.parametrize(
        ("name", "cause"),
        [
            ("nowhere/deep/out.txt", "No such file or directory; make its folder"),
            ("file/out.txt", "Not a directory; correct `files`"),
            ("folder", "Is a directory; correct `files`"),
        ],
    )
    async def test_what_only_a_person_can_mend(self, name: str, cause: str, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        (tmp_path / "folder").mkdir()
        plugin = output(tmp_path / name)
        with pytest.raises(Retry) as caught:
            await write(plugin, MemoryBatch(LINES))
        assert str(caught.value) == f"cannot write to {tmp_path / name}: {cause}"
        assert caught.value.needs_operator

    async def test_the_folder_may_come_later(self, tmp_path: Path) -> None:
        path = tmp_path / "later" / "out"
        plugin = output(path)
        with pytest.raises(Retry):
            await write(plugin, MemoryBatch(LINES))
        path.parent.mkdir()
        await write(plugin, MemoryBatch(LINES))
        await plugin.close()
        assert path.read_text() == TEXT

    async def test_a_full_device(self) -> None:
        plugin = output("/dev/full")
        with pytest.raises(Retry, match="cannot write to /dev/full: No space left on device; make room") as caught:
            await write(plugin, MemoryBatch(LINES))
        await plugin.close()
        assert not caught.value.needs_operator

    @pytest.mark.parametrize("algorithm", ["", "gzip"])
    async def test_a_full_disk_leaves_no_torn_write(self, algorithm: str, tmp_path: Path) -> None:
        path = tmp_path / "out"
        path.write_bytes(b"before\n" if not algorithm else gzip.compress(b"before\n"))
        before = path.read_bytes()
        plugin = output(path, compression_algorithm=algorithm)
        with largest_file(len(before) + 20), pytest.raises(Retry, match="File too large"):
            await write(plugin, MemoryBatch(LINES))
        assert path.read_bytes() == before
        await write(plugin, MemoryBatch(LINES))
        await plugin.close()
        content = path.read_bytes()
        assert (gzip.decompress(content) if algorithm else content).decode() == "before\n" + TEXT

    async def test_several_files_take_all_or_nothing(self, tmp_path: Path) -> None:
        small, large = tmp_path / "small", tmp_path / "large"
        large.write_text("x" * 1000)
        plugin = output(small, large)
        with largest_file(1010), pytest.raises(Retry, match=r"cannot write to .*/large"):
            await write(plugin, MemoryBatch(LINES))
        assert (small.read_text(), large.stat().st_size) == ("", 1000)
        await write(plugin, MemoryBatch(LINES))
        await plugin.close()
        assert small.read_text() == TEXT

    async def test_what_somebody_else_wrote_behind_is_never_cut_off(self, tmp_path: Path) -> None:
        one = tmp_path / "one"
        plugin = output(one, tmp_path / "nowhere" / "two")
        target = plugin._targets[0]
        append = target.append

        def and_another(data: bytes) -> None:
            append(data)
            with one.open("a") as file:
                file.write("another's line\n")

        target.append = and_another  # type: ignore[method-assign]  # the other writer comes just then
        with pytest.raises(Retry):
            await write(plugin, MemoryBatch(LINES))
        await plugin.close()
        assert one.read_text() == TEXT + "another's line\n"


class TestPipes:
    async def test_a_slow_reader_gets_everything(self, tmp_path: Path) -> None:
        path = tmp_path / "pipe"
        os.mkfifo(path)
        lines = [f'm s="{"x" * 1000}" {n}' for n in range(500)]
        got = bytearray()
        expected = MemoryBatch(lines).payload()

        def read() -> None:
            with path.open("rb") as pipe:
                while len(got) < len(expected):
                    got.extend(pipe.read1(4096))

        plugin = output(path)
        reader = threading.Thread(target=read)
        reader.start()
        await write(plugin, MemoryBatch(lines))
        reader.join()
        await plugin.close()
        assert bytes(got) == expected

    async def test_nothing_is_written_while_nobody_reads(self, tmp_path: Path) -> None:
        path, beside = tmp_path / "pipe", tmp_path / "out"
        os.mkfifo(path)
        plugin = output(beside, path)
        no_reader = re.escape(f"cannot write to {path}: no program reads this pipe; start its reader")
        for n in range(2):  # two readers, one after the other
            with pytest.raises(Retry, match=no_reader):
                await write(plugin, MemoryBatch(LINES))
            reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
            try:
                await write(plugin, MemoryBatch(LINES))
                assert os.read(reader, 65536).decode() == TEXT
            finally:
                os.close(reader)
            assert beside.read_text() == TEXT * (n + 1)
        await plugin.close()

    async def test_a_reader_that_comes_back_between_two_writes_is_the_reader(self, tmp_path: Path) -> None:
        path = tmp_path / "pipe"
        os.mkfifo(path)
        plugin = output(path)
        for _ in range(2):
            reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
            await write(plugin, MemoryBatch(LINES))
            assert os.read(reader, 65536).decode() == TEXT
            os.close(reader)
        await plugin.close()

    async def test_closing_does_not_wait_for_a_write_that_hangs(self, tmp_path: Path) -> None:
        path = tmp_path / "pipe"
        os.mkfifo(path)
        with path.open("r+b", buffering=0) as reader:
            plugin = output(path)
            big = MemoryBatch([f'm s="{"x" * 1000}" {n}' for n in range(500)])
            writing = asyncio.create_task(write(plugin, big))
            first = await asyncio.to_thread(reader.read, 1)  # it has begun, and the pipe holds less than the batch
            await plugin.close()
            assert not writing.done()
            rest = len(big.payload()) - len(first)
            while rest:
                rest -= len(await asyncio.to_thread(reader.read, min(rest, 65536)))
            await writing
            await plugin.close()


def run(code: str, **options: Any) -> "subprocess.CompletedProcess[str]":
    """Run code that has `write(*lines)` of an output with these options, in a process with a standard output of its own."""
    program = f"""
        import asyncio
        from pyagent.api import Retry
        from pyagent.testing import outputs
        from pyagent_plugins.outputs.file import File
        plugin = outputs.make_output(File, {options.pop("table", {})!r})
        def write(*lines):
            try:
                asyncio.run(outputs.write(plugin, outputs.MemoryBatch(lines)))
            except Retry as error:
                sys.stderr.write(f"needs_operator={{error.needs_operator}} {{error}}\\n")
    """
    text = "import os, sys\n" + textwrap.dedent(program) + textwrap.dedent(code)
    return subprocess.run([sys.executable, "-c", text], stderr=subprocess.PIPE, text=True, timeout=60, **options)


class TestStdout:
    @pytest.mark.parametrize("files", [[], ["stdout"], ["stdout", "stdout"]])
    async def test_is_the_default(self, files: list[str], capfd: pytest.CaptureFixture[str]) -> None:
        plugin = output(*files)
        await write(plugin, MemoryBatch(LINES))
        await plugin.close()
        assert capfd.readouterr().out == TEXT

    def test_a_reader_that_is_gone(self) -> None:
        reader, writer = os.pipe()
        os.close(reader)
        done = run("write('a v=1 1')\nwrite('b v=1 1')", stdout=writer)
        os.close(writer)
        lines = done.stderr.splitlines()
        assert len(lines) == 2
        assert set(lines) == {
            "needs_operator=True cannot write to stdout: Broken pipe; its reader is gone: start the agent again with one"
        }

    def test_a_reader_that_is_gone_does_not_stop_the_files(self, tmp_path: Path) -> None:
        reader, writer = os.pipe()
        os.close(reader)
        table = {"files": ["stdout", str(tmp_path / "out")]}
        done = run("write('a v=1 1')\nwrite('b v=1 1')", table=table, stdout=writer)
        os.close(writer)
        assert done.stderr == "cannot write to stdout: its reader is gone; only the files are written\n"
        assert (tmp_path / "out").read_text() == "a v=1 1\nb v=1 1\n"

    def test_closed_at_the_start(self) -> None:
        done = run("write('a v=1 1')", preexec_fn=lambda: os.close(1))
        assert done.stderr.startswith(
            "needs_operator=True cannot write to stdout: Bad file descriptor; start the agent with"
        )

    @pytest.mark.parametrize("mode", ["w", "a"])
    def test_a_full_disk_behind_it_leaves_no_torn_write(self, mode: str, tmp_path: Path) -> None:
        code = """
            import resource
            resource.setrlimit(resource.RLIMIT_FSIZE, (20, resource.RLIM_INFINITY))
            write('a v=1 1')
            write('b v=2 2', 'c v=3 3')
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            write('b v=2 2', 'c v=3 3')
        """
        with (tmp_path / "out").open(mode) as stdout:
            done = run(code, stdout=stdout)
        assert "needs_operator=False cannot write to stdout: File too large" in done.stderr
        assert (tmp_path / "out").read_text() == "a v=1 1\nb v=2 2\nc v=3 3\n"

    def test_a_pipe_that_does_not_block(self) -> None:
        code = """
            os.set_blocking(1, False)
            write(*(f'm s="{"x" * 1000}" {n}' for n in range(500)))
        """
        done = run(code, stdout=subprocess.PIPE)
        assert done.stderr == ""
        assert [line.rpartition(" ")[2] for line in done.stdout.splitlines()] == [str(n) for n in range(500)]


class TestRotation:
    async def test_by_size(self, tmp_path: Path) -> None:
        path = tmp_path / "metrics.out"
        plugin = output(path, rotation_max_size=20)
        for n in range(5):
            await write(plugin, MemoryBatch([f"m v={n} 100"]))  # 10 bytes each
        await plugin.close()
        old = archives(path)
        assert [one.read_text() for one in old] == ["m v=0 100\nm v=1 100\n", "m v=2 100\nm v=3 100\n"]
        assert path.read_text() == "m v=4 100\n"

    async def test_by_age_at_the_start(self, tmp_path: Path) -> None:
        path = tmp_path / "metrics"
        path.write_text("old\n")
        os.utime(path, (OLD, OLD))
        plugin = output(path, rotation_interval="24h")
        await write(plugin, MemoryBatch(["m v=1 1"]))
        await write(plugin, MemoryBatch(["m v=2 2"]))
        await plugin.close()
        assert path.read_text() == "m v=1 1\nm v=2 2\n"
        assert [one.read_text() for one in archives(path)] == ["old\n"]

    async def test_by_age_after_a_write(self, tmp_path: Path) -> None:
        path = tmp_path / "metrics.out"
        plugin = output(path, rotation_interval="24h")
        await write(plugin, MemoryBatch(["m v=1 1"]))
        assert archives(path) == []
        plugin._targets[0]._rotation.began(OLD)  # type: ignore[attr-defined]  # a day has passed
        await write(plugin, MemoryBatch(["m v=2 2"]))
        await plugin.close()
        assert [one.read_text() for one in archives(path)] == ["m v=1 1\nm v=2 2\n"]
        assert path.read_text() == ""

    @pytest.mark.parametrize(("most", "left"), [(2, ["3", "4"]), (0, []), (-1, ["0", "1", "2", "3", "4"])])
    async def test_archives_are_bounded_and_others_left_alone(self, most: int, left: list[str], tmp_path: Path) -> None:
        path = tmp_path / "m[1].out"
        others = [tmp_path / name for name in ("m[1].my-notes.out", "m1.2026-01-01-1.out", "m[1].2026-01-01-1.txt")]
        for other in others:
            other.write_text("")
        plugin = output(path, rotation_max_size=1, rotation_max_archives=most)
        for n in range(5):
            await write(plugin, MemoryBatch([f"m v=0 {n}"]))
        await plugin.close()
        assert [one.read_text().split()[-1] for one in archives(path)] == left
        assert all(other.exists() for other in others)

    async def test_a_rotation_that_fails_loses_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        path = tmp_path / "metrics.out"
        plugin = output(path, rotation_max_size=1)

        def refuse(source: str, target: str) -> None:
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))

        with monkeypatch.context() as patch:
            patch.setattr(os, "rename", refuse)
            for n in range(3):
                await write(plugin, MemoryBatch([f"m v=0 {n}"]))
        assert path.read_text() == "m v=0 0\nm v=0 1\nm v=0 2\n"
        assert [(record.levelno, record.getMessage()) for record in caplog.records] == [
            (logging.WARNING, f"cannot rotate {path}: Permission denied; it grows on")
        ]
        await write(plugin, MemoryBatch(["m v=0 3"]))
        await plugin.close()
        assert [len(one.read_text().splitlines()) for one in archives(path)] == [4]

    async def test_devices_are_not_rotated(self) -> None:
        plugin = output("/dev/null", rotation_max_size=1)
        await write(plugin, MemoryBatch(LINES))
        await plugin.close()
        assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


class TestCompression:
    @pytest.mark.parametrize("level", [-1, 0, 1, 9])
    async def test_gzip(self, level: int, tmp_path: Path) -> None:
        path = tmp_path / "out.gz"
        plugin = output(path, compression_algorithm="gzip", compression_level=level)
        for _ in range(2):
            await write(plugin, MemoryBatch(LINES))
        await plugin.close()
        assert gzip.decompress(path.read_bytes()).decode() == TEXT * 2

    async def test_zlib(self, tmp_path: Path) -> None:
        path = tmp_path / "out"
        plugin = output(path, compression_algorithm="zlib")
        for _ in range(2):
            await write(plugin, MemoryBatch(LINES))
        await plugin.close()
        streams, rest = 0, path.read_bytes()
        while rest:
            reader = zlib.decompressobj()
            assert reader.decompress(rest).decode() == TEXT
            streams, rest = streams + 1, reader.unused_data
        assert streams == 2

    async def test_none(self, tmp_path: Path) -> None:
        plugin = output(tmp_path / "out", compression_algorithm="identity")
        await write(plugin, MemoryBatch(LINES))
        await plugin.close()
        assert (tmp_path / "out").read_text() == TEXT


@pytest.mark.parametrize(
    ("table", "option", "text"),
    [
        ({"data_format": "jsn"}, "data_format", "undefined but requested serializer: jsn; did you mean 'json'?"),
        ({"compression_algorithm": "zstd"}, "compression_algorithm", "cannot compress with zstd"),
        ({"compression_level": 10}, "compression_level", "must be -1 to 9; found 10"),
        ({"rotation_max_archives": -2}, "rotation_max_archives", "must be -1 or more; found -2"),
        ({"rotation_interval": "-1h"}, "rotation_interval", "must be 0 or more; found -1h"),
        ({"rotation_max_size": -1}, "rotation_max_size", "must be 0 or more"),
        ({"influx_max_line_bytes": -1}, "influx_max_line_bytes", "must be 0 or more"),
        ({"files": [""]}, "files", "it has no name"),
    ],
)
def test_what_cannot_work_is_said_at_once(table: Mapping[str, Any], option: str, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make_output(File, table)
    assert caught.value.option == option
    assert text in str(caught.value)
