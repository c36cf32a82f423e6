"""Putting the plug-ins into the editors: what belongs in their folders, and its state there."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import os
import re
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from intarsia_client.errors import IntarsiaError
from intarsia_client.version import __version__
from intarsia_daemon.editors import Place

PACKAGES = {"krita": "intarsia_krita", "gimp": "intarsia_gimp"}
DESKTOP = "intarsia_krita.desktop"
EXECUTABLE = "intarsia_gimp/intarsia_gimp.py"
"""GIMP starts a file that is named like its folder, executable, and begins with a shebang."""
_SWITCH = "enable_intarsia_krita"
_LEFT_OUT = {"__pycache__", "_vendor"}
_VENDOR_NOTE = (
    b'"""Libraries that travel inside the plug-in; installed by Intarsia, not edited here."""\n'
)


def plugin_files(editor: str) -> dict[str, bytes]:
    """Every file of an editor's plug-in, by its path below the plug-ins folder.

    Raises:
        IntarsiaError: This installation lacks a part.
    """
    package = PACKAGES[editor]
    folder = _package_folder(package)
    files = {f"{package}/{name}": data for name, data in _read_tree(folder) if name != DESKTOP}
    if editor == "krita":
        files[DESKTOP] = _desktop(folder)
    vendor = f"{package}/_vendor/intarsia_client"
    for name, data in _read_tree(_package_folder("intarsia_client")):
        files[f"{vendor}/{name}"] = data
    files[f"{vendor}/_vendor/__init__.py"] = _VENDOR_NOTE
    for name, data in _read_tree(_package_folder("msgpack"), only=".py"):
        files[f"{vendor}/_vendor/msgpack/{name}"] = data
    files.update((f"{vendor}/_vendor/msgpack/{name}", data) for name, data in _licence("msgpack"))
    return files


def install(place: Place) -> None:
    """Put the plug-in into one place, replacing an older one, and switch it on.

    Raises:
        IntarsiaError: A part is missing here, or the folder cannot be written.
    """
    files = plugin_files(place.editor)
    package = PACKAGES[place.editor]
    with _writing(place):
        place.folder.mkdir(parents=True, exist_ok=True)
        fresh = place.folder / f".{package}.new"
        shutil.rmtree(fresh, ignore_errors=True)
        for name, data in files.items():
            path = fresh / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            if name == EXECUTABLE:
                path.chmod(0o755)
        _remove_tree(place.folder / package)
        for name in sorted({name.split("/")[0] for name in files}):
            os.replace(fresh / name, place.folder / name)
        shutil.rmtree(fresh)
        if place.settings is not None:
            switch(place.settings, on=True)


def remove(place: Place) -> bool:
    """Take the plug-in out of one place; returns whether it was there.

    Raises:
        IntarsiaError: The folder cannot be written.
    """
    package = PACKAGES[place.editor]
    there = (place.folder / package).exists() or (place.folder / package).is_symlink()
    with _writing(place):
        _remove_tree(place.folder / package)
        if place.editor == "krita":
            (place.folder / DESKTOP).unlink(missing_ok=True)
        if place.settings is not None and place.settings.is_file():
            switch(place.settings, on=False)
    return there


@dataclass(frozen=True)
class State:
    """How the plug-in stands in one place."""

    place: Place
    installed: bool
    version: str = ""
    """The release that lies there."""
    problem: str = ""
    """A sentence, where something is not as `install` leaves it."""

    @property
    def is_current(self) -> bool:
        """Whether the very files of this installation lie there, ready to be used."""
        return self.installed and not self.problem


def state(place: Place) -> State:
    """Look at one place; nothing is changed."""
    package = PACKAGES[place.editor]
    folder = place.folder / package
    if not folder.is_dir():
        return State(place, installed=False)
    return State(place, True, _installed_version(folder), _problem(place))


def switch(settings: Path, *, on: bool) -> None:
    """Switch Krita's plug-in on or off in kritarc, leaving everything else as it is."""
    text = settings.read_text("utf-8", "surrogateescape") if settings.is_file() else ""
    lines = [line for line in text.splitlines() if not line.startswith(f"{_SWITCH}=")]
    if on:
        entry = f"{_SWITCH}=true"
        if "[python]" in lines:
            lines.insert(lines.index("[python]") + 1, entry)
        else:
            lines += [*([""] if lines else []), "[python]", entry]
    settings.parent.mkdir(parents=True, exist_ok=True)
    temporary = settings.with_name(settings.name + ".intarsia")
    temporary.write_text("\n".join(lines) + "\n", "utf-8", "surrogateescape")
    if settings.exists():
        shutil.copymode(settings, temporary)
    os.replace(temporary, settings)


def is_switched_on(settings: Path) -> bool:
    """Whether kritarc says that Krita loads the plug-in."""
    if not settings.is_file():
        return False
    lines = settings.read_text("utf-8", "surrogateescape").splitlines()
    group = ""
    for line in lines:
        if line.startswith("["):
            group = line.strip()
        elif group == "[python]" and line.strip() == f"{_SWITCH}=true":
            return True
    return False


def _problem(place: Place) -> str:
    """What is not as it should be, in a sentence; empty if all is well."""
    try:
        wanted = plugin_files(place.editor)
    except IntarsiaError as error:
        return error.what
    package = PACKAGES[place.editor]
    there = {
        f"{package}/{name}": data for name, data in _read_tree(place.folder / package, whole=True)
    }
    if place.editor == "krita":
        with contextlib.suppress(OSError):
            there[DESKTOP] = (place.folder / DESKTOP).read_bytes()
    if there != wanted:
        missing = len(set(wanted) - set(there))
        return (
            f"{missing} files are missing."
            if missing
            else "It is not of the installed release; stale."
        )
    if place.editor == "gimp" and os.name == "posix":
        mode = (place.folder / EXECUTABLE).stat().st_mode
        if not mode & stat.S_IXUSR:
            return f"{EXECUTABLE} is not executable, so GIMP skips it."
    if place.settings is not None and not is_switched_on(place.settings):
        return f"It is not switched on in {place.settings}."
    return ""


def _installed_version(folder: Path) -> str:
    path = folder / "_vendor" / "intarsia_client" / "version.py"
    try:
        found = re.search(r'__version__ = "([^"]{1,40})"', path.read_text("utf-8"))
    except OSError:
        return "unknown"
    return found[1] if found else "unknown"


def _package_folder(name: str) -> Path:
    """Where a package lies, without importing it (Krita's works only inside Krita)."""
    spec = importlib.util.find_spec(name)
    places = list(spec.submodule_search_locations or []) if spec is not None else []
    if not places:
        raise IntarsiaError(
            f"This installation of Intarsia {__version__} lacks {name}.",
            value=name,
            remedy='Install it again: "pip install --force-reinstall intarsia".',
            code="NOT_FOUND",
        )
    return Path(places[0])


def _licence(distribution: str) -> Iterator[tuple[str, bytes]]:
    """The licence texts of a vendored library, as its own package carries them."""
    for path in importlib.metadata.files(distribution) or []:
        if path.name.upper().startswith(("COPYING", "LICENSE", "LICENCE", "NOTICE")):
            yield path.name, Path(str(path.locate())).read_bytes()


def _desktop(folder: Path) -> bytes:
    """The entry Krita lists; inside the package in a wheel, beside it in a source tree."""
    for path in (folder / DESKTOP, folder.parent / DESKTOP):
        if path.is_file():
            return path.read_bytes()
    raise IntarsiaError(
        f"This installation of Intarsia {__version__} lacks {DESKTOP}.",
        value=str(folder),
        remedy='Install it again: "pip install --force-reinstall intarsia".',
        code="NOT_FOUND",
    )


def _read_tree(folder: Path, only: str = "", *, whole: bool = False) -> Iterator[tuple[str, bytes]]:
    """Relative name and content of every file below; without caches (and vendored copies)."""
    left_out = {"__pycache__"} if whole else _LEFT_OUT
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.is_file() and not left_out & set(name.parts) and only in ("", path.suffix):
            yield name.as_posix(), path.read_bytes()


def _remove_tree(path: Path) -> None:
    """Remove a folder, or the link that a developer put in its place."""
    if path.is_symlink():
        path.unlink()
    elif path.is_dir():
        shutil.rmtree(path)


@contextlib.contextmanager
def _writing(place: Place) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise IntarsiaError(
            f"{place.folder} cannot be written ({error.strerror or error}).",
            value=str(place.folder),
            remedy="Check its permissions, or name another folder with --folder.",
            code="DISK_FULL" if error.errno == 28 else "OPERATION_FAILED",
        ) from None
