"""The short-lived process that parses files from strangers, with little memory and little time.

``python -m intarsia_daemon.documents.parser_child FILE FOLDER``: reads FILE, writes the document
into FOLDER (`transfer`), prints nothing. A refused file leaves ``error.json`` instead.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # each thread's arena counts as memory

MEMORY_BYTES = 6 * 1024**3
CPU_S = 90


def limit_resources() -> None:
    """Bound this process's memory, time and files (where the system can)."""
    try:
        import resource
    except ImportError:  # Windows; the parent's clock still ends us
        return
    for kind, value in (
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_CPU, CPU_S),
        (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(kind)
        if hard != resource.RLIM_INFINITY:
            value = min(value, hard)
        try:
            resource.setrlimit(kind, (value, value))
        except (OSError, ValueError):
            continue


def main(arguments: list[str]) -> int:
    """Parse one file; 0 when the document was written, 1 when the file was refused."""
    limit_resources()
    from intarsia_daemon.documents.limits import FileRejected, reject

    source, folder = Path(arguments[0]), Path(arguments[1])
    try:
        try:
            from intarsia_daemon.documents import formats, transfer

            transfer.save(formats.parse(source.read_bytes(), source.stem), folder)
        except MemoryError:
            raise reject(
                f"The file needs more than {MEMORY_BYTES // 1024**3} GiB of memory.",
                remedy="Make it smaller first.",
            ) from None
        except RecursionError:
            raise reject("The file nests too deeply.") from None
    except FileRejected as error:
        (folder / "error.json").write_text(json.dumps(error.to_dict(), default=str), "utf-8")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
