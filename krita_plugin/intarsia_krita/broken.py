"""The panel that stands in when the real one cannot be imported."""

from __future__ import annotations

import traceback
from typing import Any

from krita import DockWidget


def broken_panel(error: BaseException) -> Any:
    """A docker class that says what went wrong and what to do.

    Args:
        error: What importing the real panel raised.
    """
    sentence = explain(error)
    details = "".join(traceback.format_exception(type(error), error, error.__traceback__))

    class BrokenPanel(DockWidget):
        def __init__(self) -> None:
            super().__init__()
            from intarsia_krita.qt import QtCore, QtWidgets

            self.setWindowTitle("Intarsia")
            label = QtWidgets.QLabel(sentence)
            label.setObjectName("intarsia_broken")
            label.setWordWrap(True)
            label.setMargin(12)
            label.setToolTip(details)
            label.setAlignment(QtCore.Qt.AlignmentFlag.AlignTop)
            flag = QtCore.Qt.TextInteractionFlag.TextSelectableByMouse
            label.setTextInteractionFlags(flag)
            self.setWidget(label)

        def canvasChanged(self, canvas: Any) -> None:
            """Krita calls this on every change of view; there is nothing to do."""

    return BrokenPanel


def explain(error: BaseException) -> str:
    """What the stand-in panel says."""
    if isinstance(error, ModuleNotFoundError) and (error.name or "").startswith("intarsia_client"):
        cause = f"A part of the plug-in is missing ({error.name})."
    else:
        cause = f"{type(error).__name__}: {error}"
    return (
        f"Intarsia could not be loaded.\n\n{cause}\n\n"
        'Open a terminal, run "intarsia plugins install krita" and start Krita again.'
    )
