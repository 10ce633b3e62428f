"""`python bench [NAME ...]`: run the benchmarks of this folder, or those named, and print one table of them all in the end.

Each file asks one question and can be run by itself; `--json` of a file prints what this table is made of.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

from _report import Row, machine, print_rows

HERE = Path(__file__).parent


def main() -> int:
    names = sorted(path.stem for path in HERE.glob("*.py") if not path.stem.startswith("_"))
    parser = argparse.ArgumentParser(prog="python bench", description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of: {', '.join(names)}")
    given, further = parser.parse_known_args()
    if unknown := set(given.names) - set(names):
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are: {', '.join(names)}")
    rows: list[Row] = []
    failed: list[str] = []
    for name in given.names or names:
        print(f"== {name}", file=sys.stderr, flush=True)
        command = [sys.executable, str(HERE / f"{name}.py"), "--json", *further]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        if done.returncode:
            failed.append(name)
        last = done.stdout.strip().rpartition("\n")[2]
        if last:
            rows += [Row(**row) for row in json.loads(last)["rows"]]
    print(f"machine: {machine()}")
    print_rows(rows)
    if failed:
        print(f"failed, or over a limit: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
