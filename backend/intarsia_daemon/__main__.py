"""``intarsia`` and ``python -m intarsia_daemon``: the command line."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from intarsia_daemon.cli import application


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and leave with its exit code (docs/command-line.md)."""
    sys.exit(application.run(sys.argv[1:] if arguments is None else list(arguments)))


if __name__ == "__main__":
    main()
