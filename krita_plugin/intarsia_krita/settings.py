"""What the panel remembers between two starts of Krita: one JSON text in Krita's own settings."""

from __future__ import annotations

import json
from typing import Any, Mapping

GROUP, NAME = "intarsia", "panel"


def read_settings(krita: Any) -> dict[str, Any]:
    """What was remembered; empty at first or when unreadable."""
    try:
        found = json.loads(krita.readSetting(GROUP, NAME, "{}"))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def write_settings(krita: Any, settings: Mapping[str, Any]) -> None:
    """Remember."""
    krita.writeSetting(GROUP, NAME, json.dumps(dict(settings), sort_keys=True))
