"""The Intarsia panel for Krita. Importing this package registers it, and nothing else.

``_vendor`` beside this file holds the thin client that the installer put there; a source tree has
no such folder and finds the client on the path. If anything of ours cannot be imported, Krita shows
a panel that says so; without that it would only grey the plug-in out.
"""

from __future__ import annotations

import sys
from pathlib import Path

_VENDOR = Path(__file__).resolve().parent / "_vendor"
DOCKER_ID = "intarsia"


def _register() -> None:
    from krita import DockWidgetFactory, DockWidgetFactoryBase, Krita

    if _VENDOR.is_dir() and str(_VENDOR) not in sys.path:
        sys.path.insert(0, str(_VENDOR))
    try:
        from intarsia_krita.docker import IntarsiaDocker as panel
    except Exception as error:
        from intarsia_krita.broken import broken_panel

        panel = broken_panel(error)
    side = getattr(DockWidgetFactoryBase, "DockPosition", DockWidgetFactoryBase).DockRight
    Krita.instance().addDockWidgetFactory(DockWidgetFactory(DOCKER_ID, side, panel))


_register()
