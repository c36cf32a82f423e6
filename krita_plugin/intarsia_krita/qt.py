"""PyQt5 or PyQt6 under one name: the one that this Krita itself is built with.

Krita says which (``pykrita.qt_major_version``, new in Krita 6); trying one import after the other
can load the wrong Qt where both are installed. Enums are written in full everywhere.
"""

from __future__ import annotations

import importlib
from typing import Any


def _major_version() -> int:
    try:
        krita: Any = importlib.import_module("pykrita")
    except ImportError:
        krita = importlib.import_module("krita")
    return int(getattr(krita, "qt_major_version", lambda: 5)())


MAJOR = _major_version()
QtCore: Any = importlib.import_module(f"PyQt{MAJOR}.QtCore")
QtGui: Any = importlib.import_module(f"PyQt{MAJOR}.QtGui")
QtWidgets: Any = importlib.import_module(f"PyQt{MAJOR}.QtWidgets")
QAction: Any = QtGui.QAction if MAJOR >= 6 else QtWidgets.QAction
QShortcut: Any = QtGui.QShortcut if MAJOR >= 6 else QtWidgets.QShortcut
Qt: Any = QtCore.Qt
