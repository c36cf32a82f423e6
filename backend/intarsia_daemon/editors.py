"""Where Krita and GIMP keep their plug-ins, on every system; computed from the home directory."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

EDITORS = ("krita", "gimp")
GIMP_PROFILES = ("3.0", "3.2")
"""Made when GIMP 3 has not been started yet; otherwise every 3.x profile gets the plug-in."""


@dataclass(frozen=True)
class Place:
    """One folder where an editor looks for plug-ins."""

    editor: str
    """``"krita"`` or ``"gimp"``."""
    variant: str
    """For people: ``"Krita (Flatpak)"``."""
    folder: Path
    """``pykrita`` or ``plug-ins``."""
    settings: Path | None
    """Krita's settings file, where a plug-in is switched on."""
    found: bool
    """Whether the editor has been there."""


def places(
    editor: str,
    *,
    home: Path | None = None,
    system: str = sys.platform,
    environment: Mapping[str, str] = os.environ,
) -> list[Place]:
    """Every place of one editor, found or not.

    Args:
        editor: ``"krita"`` or ``"gimp"``.
        home: The user's home directory.
        system: As `sys.platform`.
        environment: Where GIMP3_DIRECTORY is looked for.
    """
    home = home or Path.home()
    return _krita(home, system) if editor == "krita" else _gimp(home, system, environment)


def targets(
    editor: str,
    *,
    home: Path | None = None,
    system: str = sys.platform,
    environment: Mapping[str, str] = os.environ,
) -> list[Place]:
    """Where to install: every place where the editor has been, or the usual ones."""
    known = places(editor, home=home, system=system, environment=environment)
    found = [place for place in known if place.found]
    return found or [place for place in known if "Flatpak" not in place.variant]


def _krita(home: Path, system: str) -> list[Place]:
    if system == "win32":
        roaming, local = home / "AppData" / "Roaming", home / "AppData" / "Local"
        rows = [("Krita", roaming / "krita", local / "kritarc")]
    elif system == "darwin":
        library = home / "Library"
        support = library / "Application Support" / "krita"
        rows = [("Krita", support, library / "Preferences" / "kritarc")]
    else:
        flatpak = home / ".var" / "app" / "org.kde.krita"
        rows = [
            ("Krita", home / ".local" / "share" / "krita", home / ".config" / "kritarc"),
            ("Krita (Flatpak)", flatpak / "data" / "krita", flatpak / "config" / "kritarc"),
        ]
    return [
        Place("krita", name, folder / "pykrita", settings, folder.is_dir() or settings.is_file())
        for name, folder, settings in rows
    ]


def _gimp(home: Path, system: str, environment: Mapping[str, str]) -> list[Place]:
    own = environment.get("GIMP3_DIRECTORY")
    if own:
        return [Place("gimp", "GIMP (GIMP3_DIRECTORY)", Path(own) / "plug-ins", None, True)]
    if system == "win32":
        base = home / "AppData" / "Roaming" / "GIMP"
    elif system == "darwin":
        base = home / "Library" / "Application Support" / "GIMP"
    else:
        base = home / ".config" / "GIMP"  # GIMP's Flatpak uses it too
    profiles = set(GIMP_PROFILES)
    if base.is_dir():
        profiles |= {p.name for p in base.iterdir() if re.fullmatch(r"3\.\d{1,2}", p.name)}
    return [
        Place("gimp", f"GIMP {name}", base / name / "plug-ins", None, (base / name).is_dir())
        for name in sorted(profiles, key=lambda n: int(n.split(".")[1]))
    ]
