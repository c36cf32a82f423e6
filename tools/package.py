"""Make what is given to people: the Krita zip, the GIMP zip and the wheel, in dist/.

The Krita zip is imported with *Tools > Scripts > Import Python Plugin from File*; the GIMP zip is
unpacked into GIMP's plug-ins folder. ``intarsia plugins install`` does both without them.
"""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

from intarsia_client.version import __version__
from intarsia_daemon.plugins import EXECUTABLE, plugin_files

ROOT = Path(__file__).resolve().parent.parent
_DATE = (1980, 1, 1, 0, 0, 0)
"""The same for every file, so that the same sources make the same zip."""


def write_plugin(editor: str, folder: Path) -> Path:
    """Write one editor's zip and return its path."""
    path = folder / f"intarsia-{editor}-{__version__}.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as container:
        for name, data in sorted(plugin_files(editor).items()):
            entry = zipfile.ZipInfo(name, _DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # Unix: unpacking keeps the mode
            entry.external_attr = (0o100755 if name == EXECUTABLE else 0o100644) << 16
            container.writestr(entry, data)
    return path


def write_wheel(folder: Path) -> None:
    """Build the wheel with pip."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "-w",
        str(folder),
        str(ROOT),
    ]
    if importlib.util.find_spec("hatchling") is not None:
        command.insert(4, "--no-build-isolation")
    subprocess.run(command, check=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write everything into dist/."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="another folder")
    parser.add_argument("--no-wheel", action="store_true", help="only the plug-ins")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    for editor in ("krita", "gimp"):
        print(write_plugin(editor, options.out))
    if not options.no_wheel:
        write_wheel(options.out)
        for path in sorted(options.out.glob(f"intarsia-{__version__}-*.whl")):
            print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
