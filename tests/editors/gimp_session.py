"""Starts the real GIMP for tests, headless or on a screen, with the plug-in in a fresh profile.

GIMP lives in a root of its own (``setup_editors.sh``), the engine outside of it; they meet on
127.0.0.1 and in one folder that is visible to both under the same path.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

HERE = Path(__file__).resolve().parent
ROOT = os.environ.get("EDITORS_ROOT", "/opt/intarsia-editors")
IN_ROOT = os.environ.get("EDITORS_IN_ROOT", str(HERE / "in_root.sh"))
DISPLAY = int(os.environ.get("INTARSIA_GIMP_DISPLAY", "81"))
SHORTCUTS = {
    "python-fu-intarsia-blend": "b",
    "python-fu-intarsia-harmonize": "h",
    "python-fu-intarsia-relabel": "r",
    "python-fu-intarsia-transplant": "t",
    "python-fu-intarsia-generate": "n",
    "python-fu-intarsia-jobs": "j",
    "python-fu-intarsia-engine": "g",
    "python-fu-intarsia-composite": "c",
    "python-fu-intarsia-assemble": "y",
    "python-fu-intarsia-mosaic": "u",
    "python-fu-gimp-mosaic": "k",
    "python-fu-gimp-probe": "p",
    "python-fu-gimp-move": "m",
}
"""The name of a procedure is the name of its menu action; all with Ctrl + Alt."""
PLACE = ("205", "40")
"""Where dialogs are put: beside GIMP's tools, above the image."""


@dataclass
class Gimp:
    """One profile with the plug-in in it."""

    folder: Path
    engine_home: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def profile(self) -> Path:
        """What GIMP3_DIRECTORY names."""
        return self.folder / "profile"

    def install(self) -> None:
        """Make a fresh profile and install the plug-in with the project's own installer."""
        self.profile.mkdir(parents=True)
        lines = ["(show-welcome-dialog no)", "(check-updates no)"]
        (self.profile / "gimprc").write_text("\n".join(lines) + "\n")
        actions = [f'(action "{name}" "<Primary><Alt>{key}")' for name, key in SHORTCUTS.items()]
        (self.profile / "shortcutsrc").write_text("\n".join(["(file-version 1)", *actions]) + "\n")
        environment = {**os.environ, "HOME": str(self.folder), "GIMP3_DIRECTORY": str(self.profile)}
        environment["INTARSIA_HOME"] = str(self.engine_home)
        command = [sys.executable, "-m", "intarsia_daemon", "plugins", "install", "gimp"]
        subprocess.run(command, env=environment, check=True, capture_output=True, timeout=120)
        shutil.copytree(HERE / "gimp_probe", self.profile / "plug-ins" / "gimp_probe")
        for file in HERE.glob("gimp_scenes*.py"):
            shutil.copy(file, self.folder)

    def in_root(self, command: list[str], **variables: str) -> list[str]:
        """The command line that runs something beside GIMP."""
        values = {
            "HOME": str(self.folder),
            "GIMP3_DIRECTORY": str(self.profile),
            "INTARSIA_HOME": str(self.engine_home),
            "GIMP_PROBE": str(self.folder / "probe.json"),
            "DISPLAY": f":{DISPLAY}",
            **self.environment,
            **variables,
        }
        return [IN_ROOT, *(f"{key}={value}" for key, value in values.items()), *command]

    def start(self, command: list[str], log: str, **variables: str) -> subprocess.Popen[bytes]:
        """Start something in the root, in a process group of its own."""
        environment = dict(os.environ, EDITORS_ROOT=ROOT, EDITORS_BIND=str(self.folder.parent))
        with (self.folder / log).open("wb") as output:
            return subprocess.Popen(
                self.in_root(command, **variables),
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def play(
        self,
        scene: str,
        *,
        meanwhile: Callable[[], None] | None = None,
        timeout_s: float = 180,
        **variables: str,
    ) -> dict[str, Any]:
        """Run one scene of ``gimp_scenes.py`` in gimp-console and return its findings.

        ``meanwhile`` is called once while it runs; it may wait for something and break it.
        """
        out = self.folder / f"{scene}.json"
        out.unlink(missing_ok=True)
        batch = f"exec(open({str(self.folder / 'gimp_scenes.py')!r}).read())"
        command = ["gimp-console", "-idfs", "--batch-interpreter", "python-fu-eval", "-b", batch]
        process = self.start(
            [*command, "--quit"], f"{scene}.log", SCENE=scene, OUT=str(out), **variables
        )
        try:
            if meanwhile is not None:
                meanwhile()
            process.wait(timeout_s)
        finally:
            end_group(process)
        text = (self.folder / f"{scene}.log").read_text("utf-8", "replace")
        assert out.exists(), text[-4000:]
        answer = json.loads(out.read_text())
        assert "traceback" not in answer, answer["traceback"]
        return answer

    @contextlib.contextmanager
    def screen(self, file: Path) -> Iterator[Screen]:
        """GIMP with a window, showing a file."""
        frames = self.folder / "frames"
        frames.mkdir(exist_ok=True)
        xvfb = [
            f":{DISPLAY}",
            "-screen",
            "0",
            "1400x900x24",
            "-fbdir",
            str(frames),
            "-nolisten",
            "tcp",
        ]
        server = self.start(["Xvfb", *xvfb], "xvfb.log")
        try:
            wait_for(lambda: (frames / "Xvfb_screen0").exists(), 20, "Xvfb")
            gimp = self.start(["gimp", "--no-splash", str(file)], "gimp.log")
            try:
                screen = Screen(self, frames / "Xvfb_screen0")
                try:
                    screen.arrange(file.stem)
                    yield screen
                except BaseException:
                    screen.shot("failed", keep=False)
                    raise
            finally:
                end_group(gimp)
        finally:
            end_group(server)


@dataclass
class Screen:
    """A screen with GIMP on it, driven like a person would."""

    gimp: Gimp
    frame: Path
    main: str = ""

    def arrange(self, title: str) -> None:
        """Wait for the image's window, not for *Welcome to GIMP 3*; fill the screen with it."""
        self.main = wait_for(
            lambda: self.window(f"{title}.*GIMP") or self.window("GIMP$"), 120, "GIMP"
        )
        self.tool("windowsize", "--sync", self.main, "1400", "900")
        time.sleep(2.0)

    def tool(self, *arguments: str) -> str:
        """xdotool; returns what it prints."""
        environment = dict(os.environ, EDITORS_ROOT=ROOT, EDITORS_BIND=str(self.gimp.folder.parent))
        command = self.gimp.in_root(["timeout", "15", "xdotool", *arguments])
        return subprocess.run(
            command, env=environment, capture_output=True, text=True
        ).stdout.strip()

    def window(self, name: str) -> str:
        """Id of the newest visible window with that title, or nothing."""
        return (self.tool("search", "--onlyvisible", "--name", name).splitlines() or [""])[-1]

    def press(self, key: str) -> None:
        """Press a key in GIMP's main window."""
        self.tool("windowfocus", "--sync", self.main, "mousemove", "700", "760", "key", key)

    def open(self, procedure: str, title: str) -> str:
        """Fire a menu action and wait for its window; returns the window's id."""
        for _ in range(4):
            self.press(f"ctrl+alt+{SHORTCUTS[procedure]}")
            with contextlib.suppress(AssertionError):
                found = wait_for(lambda: self.window(f"^{title}$"), 15, title)
                self.tool("windowmove", "--sync", found, *PLACE)
                time.sleep(1.0)
                return found
        raise AssertionError(f"no window {title!r}")

    def click(self, window: str, right: int, bottom: int = 0, *, top: int = 0) -> None:
        """Click in a window, measured from its right edge and from its bottom or its top."""
        text = self.tool("getwindowgeometry", "--shell", window)
        place = dict(line.split("=") for line in text.splitlines() if "=" in line)
        x = int(place["X"]) + int(place["WIDTH"]) - right
        y = int(place["Y"]) + (top or int(place["HEIGHT"]) - bottom)
        self.tool("windowfocus", "--sync", window, "mousemove", str(x), str(y), "click", "1")

    def enter(self, window: str, letter: str, text: str) -> None:
        """Go to a dialog's field by its underlined letter and replace what it holds."""
        self.tool("windowfocus", "--sync", window, "key", f"alt+{letter}", "key", "ctrl+a")
        self.tool("type", text)
        self.tool("key", "Tab")

    def probe(self) -> dict[str, Any]:
        """What the image consists of now."""
        path = self.gimp.folder / "probe.json"
        path.unlink(missing_ok=True)
        for _ in range(5):
            self.press("ctrl+alt+p")
            with contextlib.suppress(AssertionError):
                wait_for(path.exists, 8, "the probe")
                return json.loads(path.read_text())
        raise AssertionError("the probe did not answer")

    def layers(self) -> list[str]:
        """Names of the image's layers, topmost first."""
        return [layer["name"] for layer in self.probe()["layers"]]

    def shot(
        self, name: str, box: tuple[int, int, int, int] | None = None, *, keep: bool = True
    ) -> Image.Image:
        """A picture of the screen in the test's folder, and in INTARSIA_SCREENSHOTS if set."""
        picture = read_frame(self.frame.read_bytes())
        picture = picture.crop(box) if box else picture
        picture = picture.quantize(256, kmeans=2, dither=Image.Dither.FLOYDSTEINBERG)
        for folder in (self.gimp.folder, keep and os.environ.get("INTARSIA_SCREENSHOTS")):
            if folder:
                picture.save(Path(folder) / f"gimp-{name}.png", optimize=True)
        return picture


def read_frame(data: bytes) -> Image.Image:
    """A picture from Xvfb's frame buffer file (X window dump, 32 bits a pixel)."""
    header = struct.unpack(">25I", data[:100])
    size, width, height, bits, line, colours = (header[i] for i in (0, 4, 5, 11, 12, 19))
    assert bits == 32
    rows = np.frombuffer(data, np.uint8, line * height, size + colours * 12)
    rows = rows.reshape(height, line // 4, 4)[:, :width, 2::-1]
    return Image.fromarray(np.ascontiguousarray(rows))


def wait_for(check: Callable[[], Any], seconds: float, what: str) -> Any:
    """Poll until something is true, and return it."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = check()
        if value:
            return value
        time.sleep(0.2)
    raise AssertionError(f"waited {seconds:g} s for {what}")


def end_group(process: subprocess.Popen[bytes]) -> None:
    """End a process with everything it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(20)


def plug_in_processes(gimp: Gimp) -> list[int]:
    """Process ids of this profile's running plug-in."""
    name = str(gimp.profile / "plug-ins" / "intarsia_gimp" / "intarsia_gimp.py").encode()
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if name in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
    return found


def engine_environment(home: Path) -> Mapping[str, str]:
    """For an engine of its own in that home."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    return {**os.environ, "INTARSIA_HOME": str(home), "OMP_NUM_THREADS": "1"}
