"""`python bench`: run all benchmarks of this folder and print one table in the end; `python bench NAME ...` runs one of them.

Each file asks one question and can be run by itself, with options of its own: `python bench idle --help`.
"""

import json
import subprocess
import sys
from pathlib import Path

from _report import Row, machine, print_rows

HERE = Path(__file__).parent


def main(words: list[str]) -> int:
    names = sorted(path.stem for path in HERE.glob("*.py") if not path.stem.startswith("_"))
    if words in (["-h"], ["--help"]):
        print(f"{__doc__}\nThere are: {', '.join(names)}.")
        return 0
    if words:
        if words[0] not in names:
            print(f"E! no benchmark {words[0]!r}; there are: {', '.join(names)}", file=sys.stderr)
            return 1
        return subprocess.call([sys.executable, str(HERE / f"{words[0]}.py"), *words[1:]])
    rows: list[Row] = []
    failed: list[str] = []
    for name in names:
        print(f"{name} ...", file=sys.stderr, flush=True)
        command = [sys.executable, str(HERE / f"{name}.py"), "--json"]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        if done.returncode:
            failed.append(name)
        if last := done.stdout.strip().rpartition("\n")[2]:
            rows += [Row(**row) for row in json.loads(last)["rows"]]
    print(f"machine: {machine()}")
    print_rows(rows)
    if failed:
        print(f"failed, or over a limit: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
