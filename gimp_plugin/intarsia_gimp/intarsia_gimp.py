#!/usr/bin/env python3
"""What GIMP starts: makes the plug-in's own folder importable as a package and hands over."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent


def make_importable(folder: Path) -> None:
    """Make ``import intarsia_gimp`` mean that folder, and its ``_vendor`` visible.

    Python puts a script's own folder first on the path, where ``canvas.py`` or ``jobs.py`` would
    shadow other people's modules; and the folder above holds other plug-ins. So neither stays.
    """
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != folder]
    vendored = folder / "_vendor"
    if vendored.is_dir():
        sys.path.insert(0, str(vendored))
    spec = importlib.util.spec_from_file_location(
        "intarsia_gimp", str(folder / "__init__.py"), submodule_search_locations=[str(folder)]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"{folder} is no package.")
    package = importlib.util.module_from_spec(spec)
    sys.modules["intarsia_gimp"] = package
    spec.loader.exec_module(package)


if __name__ == "__main__":
    make_importable(FOLDER)
    from intarsia_gimp.procedures import main

    main(sys.argv)
