"""The command line. One file per command; a command's imports happen when it runs."""

import sys


def main() -> int:
    """Run the command that sys.argv names; returns the exit status."""
    raise SystemExit("not yet")


if __name__ == "__main__":
    sys.exit(main())
