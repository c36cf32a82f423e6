"""PyQt5 or PyQt6 for tests, or a skip where neither is installed. Import the names from here."""

from __future__ import annotations

import importlib
import os
from typing import Any

import krita
import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
for _binding in ("PyQt5", "PyQt6"):
    try:
        QtWidgets: Any = importlib.import_module(_binding + ".QtWidgets")
        QtCore: Any = importlib.import_module(_binding + ".QtCore")
        QtGui: Any = importlib.import_module(_binding + ".QtGui")
        QtTest: Any = importlib.import_module(_binding + ".QtTest")
        break
    except ImportError:
        continue
else:
    pytest.skip("neither PyQt5 nor PyQt6 is installed", allow_module_level=True)
if _binding == "PyQt6":
    krita.qt_major_version = lambda: 6  # type: ignore[attr-defined]
application: Any = QtWidgets.QApplication.instance() or QtWidgets.QApplication([])
"""The one application of this process."""
