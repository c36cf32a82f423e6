"""Looks whether everything is in place, and says what to do where it is not."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from intarsia_client import wire
from intarsia_client.endpoint import Endpoint, home, read_engine_command
from intarsia_client.errors import EngineError, EngineNotRunning
from intarsia_client.version import __version__
from intarsia_daemon import plugins
from intarsia_daemon.editors import EDITORS, Place, places
from intarsia_daemon.model_store import ModelStore
from intarsia_daemon.packs import packs_folder

OK, NOTE, BROKEN = "ok", "note", "broken"
LIBRARIES = ("torch", "numpy", "pillow", "pyzmq", "msgpack", "psd-tools")
ROOM_BYTES = 2 * 10**9
"""Less free disk space than this is worth a note; checkpoints and models need some."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    subject: str
    state: str
    """``"ok"``, ``"note"`` (nothing is broken) or ``"broken"``."""
    text: str
    remedy: str = ""


def examine() -> Iterator[Finding]:
    """Look at everything, in the order in which a person would; nothing is changed."""
    yield _versions()
    yield from _home_folder(home())
    yield _disk(home())
    yield from _models(home() / "models")
    yield _engine_file()
    yield from _engine()
    for editor in EDITORS:
        found = [place for place in places(editor) if place.found]
        if not found:
            yield Finding(editor, NOTE, "The editor was not found for this user.")
        for place in found:
            yield _plugin(place)
            if "Flatpak" in place.variant:
                yield _flatpak(place)


def _versions() -> Finding:
    found = []
    for name in LIBRARIES:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            return Finding(
                "versions",
                BROKEN,
                f"{name} is not installed.",
                'Install again: "pip install --force-reinstall intarsia".',
            )
    protocol = ".".join(str(part) for part in wire.PROTOCOL)
    text = f"Intarsia {__version__}, protocol {protocol}, Python {platform.python_version()}"
    return Finding("versions", OK, f"{text}, {', '.join(found)}, in {sys.prefix}")


def _home_folder(folder: Path) -> Iterator[Finding]:
    if not folder.exists():
        yield Finding("home", NOTE, f"{folder} does not exist yet; the first start makes it.")
        return
    if not os.access(folder, os.W_OK | os.X_OK):
        yield Finding("home", BROKEN, f"{folder} cannot be written.", f"chmod u+rwx {folder}")
        return
    open_to_others = []
    for name in ("", "run", "log", "jobs", "models"):
        path = folder / name
        if os.name == "posix" and path.exists():
            about = path.stat()
            if about.st_uid != os.getuid():
                text = f"{path} belongs to another user."
                yield Finding("home", BROKEN, text, f"Remove it, or: sudo chown $USER {path}")
                return
            if stat.S_IMODE(about.st_mode) & 0o077:
                open_to_others.append(str(path))
    if open_to_others:
        names = " ".join(open_to_others)
        yield Finding("home", BROKEN, f"Others can look into {names}.", f"chmod 700 {names}")
        return
    yield Finding("home", OK, f"{folder}, for this user alone")


def _disk(folder: Path) -> Finding:
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    text = f"{free / 1e9:.1f} GB free in {folder}"
    if free < ROOM_BYTES:
        return Finding("disk", NOTE, text, "Make room: trainings keep checkpoints there.")
    return Finding("disk", OK, text)


def _models(folder: Path) -> Iterator[Finding]:
    found = ModelStore(folder, packs=packs_folder()).list()
    whole = [entry for entry in found if not entry.get("problem")]
    able = [entry["title"] for entry in whole if "regressor" in entry["capabilities"]]
    text = f"{len(whole)} model{'' if len(whole) == 1 else 's'}"
    for entry in found:
        if entry.get("problem"):
            remedy = "Remove it, and train or import it again."
            yield Finding("models", NOTE, f"{entry['id']} is damaged: {entry['problem']}", remedy)
    if able:
        yield Finding("models", OK, f"{text}; with a regressor, for collages: {', '.join(able)}")
        return
    yield Finding(
        "models",
        NOTE,
        f"{text}, none of them with a regressor: nothing can make a picture of a collage.",
        'Train one with "intarsia train regressor", or import a model with --regressor.',
    )


def _engine_file() -> Finding:
    try:
        command = read_engine_command()
    except EngineError as error:
        return Finding("starting", BROKEN, error.what, error.remedy)
    return Finding("starting", OK, f"The editors start the engine with {' '.join(command)}")


def _engine() -> Iterator[Finding]:
    try:
        endpoint = Endpoint.read()
    except EngineNotRunning as error:
        yield Finding("engine", OK, f"{error.what} It starts on first use.")
        yield _device()
        return
    except EngineError as error:
        yield Finding("engine", BROKEN, error.what, error.remedy)
        return
    from intarsia_client.client import Client

    try:
        with Client.connect(app="doctor", start=False, timeout_s=10) as client:
            welcome, answer = client.welcome, client.ping()
    except EngineError as error:
        yield Finding(
            "engine",
            BROKEN,
            f"Process {endpoint.pid} should be the engine, but: {error.what}",
            error.remedy or 'End it with "intarsia stop --now" and try again.',
        )
        return
    protocol = ".".join(str(part) for part in endpoint.protocol)
    text = f"runs as process {endpoint.pid}, release {endpoint.version}, protocol {protocol}"
    milliseconds = f"{answer['seconds'] * 1000:.0f} ms"
    yield Finding("engine", OK, f"{text}; it took our token and answered in {milliseconds}")
    if endpoint.version != __version__:
        yield Finding(
            "engine",
            NOTE,
            f"The running engine is of release {endpoint.version}, this is {__version__}.",
            'Run "intarsia stop"; the next use starts the new one.',
        )
    yield Finding("device", OK, f"{welcome.get('device') or 'unknown'}")


def _device() -> Finding:
    try:
        import torch
    except Exception as error:  # a broken installation fails here in many ways
        return Finding(
            "device",
            BROKEN,
            f"PyTorch cannot be loaded ({type(error).__name__}: {error}).",
            'Install it again: "pip install --force-reinstall torch".',
        )
    if torch.cuda.is_available():
        return Finding("device", OK, f"CUDA, {torch.cuda.get_device_name(0)}")
    if torch.backends.mps.is_available():
        return Finding("device", OK, "Apple's graphics chip (mps)")
    return Finding(
        "device",
        OK,
        f"no graphics card that PyTorch can use; {torch.get_num_threads()} processor cores",
    )


def _plugin(place: Place) -> Finding:
    found = plugins.state(place)
    install = f'Run "intarsia plugins install {place.editor}".'
    if not found.installed:
        return Finding(
            place.editor, NOTE, f"{place.variant}: the plug-in is not installed.", install
        )
    text = f"{place.variant}: release {found.version} in {place.folder}"
    if found.problem:
        usable = found.problem.endswith("stale.")
        return Finding(
            place.editor, NOTE if usable else BROKEN, f"{text}. {found.problem}", install
        )
    return Finding(place.editor, OK, text)


def _flatpak(place: Place) -> Finding:
    return Finding(
        place.editor,
        NOTE,
        f"{place.variant} cannot start the engine from inside its sandbox.",
        'Start it before with "intarsia serve", or let any other "intarsia" command start it.',
    )
