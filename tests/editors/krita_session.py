"""Starts the real Krita for tests: a fresh home with the plug-in, scenes to play, an engine.

Krita lives in a root of its own (``setup_editors.sh``), the engine outside of it, on 127.0.0.1;
both see one folder under the same path. When the plug-in wants to start the engine it runs a small
script that asks this side to do it, because the root has no torch.

    PYTHONPATH=tests/fakes python -m tests.editors.krita_session FOLDER SCENE…   by hand
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from small_generators import install_small_generator
from tests.editors.gimp_session import end_group, read_frame
from tests.support import ROOT as PROJECT
from tests.support import engine_environment, running_engine

from intarsia_client.endpoint import write_engine_file
from intarsia_daemon.model_import import import_model

HERE = Path(__file__).resolve().parent
ROOT = os.environ.get("EDITORS_ROOT", "/opt/intarsia-editors")
IN_ROOT = str(HERE / "in_root.sh")
DISPLAY = int(os.environ.get("INTARSIA_KRITA_DISPLAY", "71"))
DRIVER = "intarsia_test_driver"
PAINTING = PROJECT / "backend/intarsia_daemon/demo/pictures/starry_night_lemur.ora"
LEARNT = PROJECT / "backend/intarsia_daemon/demo/models"
"""Models that the demonstration learnt beforehand."""
APPLES, COLLAGE = PAINTING.with_name("apples.ora"), PAINTING.with_name("collage.ora")
NEEDED = [
    pytest.mark.editors,
    pytest.mark.timeout(2400),
    pytest.mark.skipif(
        os.environ.get("INTARSIA_EDITOR_TESTS") != "1", reason="INTARSIA_EDITOR_TESTS is not 1"
    ),
    pytest.mark.skipif(not Path(ROOT).is_dir(), reason=f"{ROOT} does not exist"),
]
"""The marks of every test that starts Krita."""
SMALL = (56, 44)
"""Width and height of the picture on which everything is tried: a training takes seconds."""
LAUNCH = """#!/bin/sh
touch "{home}/please-start"
exec sleep 120
"""


@dataclass
class Case:
    """A picture and an element to paste into it."""

    picture: Image.Image
    element: Image.Image
    place: tuple[int, int]
    name: str
    selection: tuple[int, int, int, int] = (0, 0, 0, 0)

    def write(self, folder: Path, key: str) -> dict[str, Any]:
        """Files for Krita's side, and what it must know."""
        self.picture.save(folder / f"{key}.png")
        (folder / f"{key}.rgba").write_bytes(self.element.tobytes())
        return {
            "picture": f"{key}.png",
            "element": f"{key}.rgba",
            "place": [*self.place, *self.element.size],
            "name": self.name,
            "selection": self.selection,
        }


def large_case() -> Case:
    """The painting and the pasted animal of the demonstration."""
    with zipfile.ZipFile(PAINTING) as file:
        rows = {
            row.get("name"): row for row in ElementTree.fromstring(file.read("stack.xml")).iter()
        }
        pictures = {}
        for name in ("Starry Night", "Lemur"):
            data = file.read(rows[name].get("src", ""))
            pictures[name] = Image.open(io.BytesIO(data)).convert("RGBA")
    place = (int(rows["Lemur"].get("x", "0")), int(rows["Lemur"].get("y", "0")))
    return Case(pictures["Starry Night"].convert("RGB"), pictures["Lemur"], place, "Lemur")


def small_case() -> Case:
    """The same, small."""
    large = large_case()
    share = SMALL[0] / large.picture.width
    element = large.element.resize([round(side * share) for side in large.element.size])
    place = (round(large.place[0] * share), round(large.place[1] * share))
    half = (place[0] - 2, place[1] - 2, element.width // 2 + 2, element.height + 4)
    return Case(large.picture.resize(SMALL), element, place, "Lemur", half)


@dataclass
class Krita:
    """One run of Krita, in a folder of its own."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    engine_variables: dict[str, str] = field(default_factory=dict)
    """What the engines that it starts are given besides."""
    shots: dict[str, Image.Image] = field(default_factory=dict)
    """Pictures of the screen, by name."""
    model: str = ""
    """Id of the small generator in the engine's home."""

    @property
    def engine_home(self) -> Path:
        """The engine's folder."""
        return self.folder / "engine"

    def prepare(self, cases: dict[str, Case], *, regressor: bool = False, **settings: Any) -> None:
        """A fresh home with the plug-in from the project's own installer, a generator, the scenes.

        Args:
            cases: Pictures to open, by name.
            regressor: Whether the generator can make a picture of rough pieces.
            settings: What the scenes must know besides.
        """
        user, scenes = self.folder / "user", self.folder / "scenes"
        (user / ".local/share/krita").mkdir(parents=True)
        scenes.mkdir()
        self.engine_home.mkdir(mode=0o700, exist_ok=True)
        environment = {**os.environ, "HOME": str(user), "INTARSIA_HOME": str(self.engine_home)}
        command = [sys.executable, "-m", "intarsia_daemon", "plugins", "install", "krita"]
        subprocess.run(command, env=environment, check=True, capture_output=True, timeout=120)
        self._add_driver(user)
        settings["model"] = self.model = install_small_generator(
            self.engine_home, regressor=regressor
        )
        shutil.copytree(HERE / "krita_scenes", scenes / "krita_scenes")
        for name, file in (("apples", APPLES), ("collage", COLLAGE)):
            shutil.copy(file, scenes)
            settings[name] = file.name
        written = {key: case.write(scenes, key) for key, case in cases.items()}
        text = json.dumps({"cases": written, **settings})
        (scenes / "scenes.json").write_text(text, "utf-8")
        (self.engine_home / "launch.sh").write_text(LAUNCH.format(home=self.engine_home))
        self.offer_engine()

    def add_operations(self, *modules: str) -> None:
        """Let panel and engine know the test operations, and the engine more modules."""
        variables = engine_environment(self.folder)
        names = ("INTARSIA_EXTRA_CATALOG", "INTARSIA_EXTRA_OPERATIONS", "PYTHONPATH")
        self.engine_variables = {name: variables[name] for name in names}
        self.engine_variables["INTARSIA_EXTRA_OPERATIONS"] += "".join(f",{m}" for m in modules)
        self.environment["INTARSIA_EXTRA_CATALOG"] = variables["INTARSIA_EXTRA_CATALOG"]

    def for_engine(self) -> dict[str, str]:
        """Environment variables for an engine with this home."""
        environment = {**os.environ, **self.engine_variables, "OMP_NUM_THREADS": "1"}
        environment["INTARSIA_HOME"] = str(self.engine_home)
        return environment

    def offer_engine(self) -> None:
        """Tell the plug-in how to start the engine: by asking this side."""
        write_engine_file(["/bin/sh", str(self.engine_home / "launch.sh")], self.engine_home)

    def play(self, scenes: list[str], *, limit_s: float = 900) -> dict[str, Any]:
        """Start Krita, play scenes, and return their findings by name."""
        folder = self.folder / "scenes"
        variables = {
            "HOME": str(self.folder / "user"),
            "XDG_RUNTIME_DIR": str(self.folder / "user" / "run"),
            "DISPLAY": f":{DISPLAY}",
            "INTARSIA_HOME": str(self.engine_home),
            "INTARSIA_SCENES": str(folder),
            "INTARSIA_PLAY": ",".join(scenes),
            "INTARSIA_LIMIT_S": str(int(limit_s)),
            **self.environment,
        }
        shutil.copy(HERE / "krita_inside.sh", folder)
        command = [IN_ROOT, *(f"{key}={value}" for key, value in variables.items())]
        environment = dict(os.environ, EDITORS_ROOT=ROOT, EDITORS_BIND=str(self.folder))
        process = subprocess.Popen(
            [*command, "bash", str(folder / "krita_inside.sh")],
            env=environment,
            start_new_session=True,
        )
        try:
            with self._engines():
                while process.poll() is None:
                    self._take_shots(folder)
                    time.sleep(0.1)
        finally:
            end_group(process)
        return self._findings(folder, process.returncode)

    def _findings(self, folder: Path, code: int | None) -> dict[str, Any]:
        errors = (folder / "krita.err").read_text("utf-8", "replace")
        findings = folder / "findings.json"
        assert findings.exists(), f"Krita ended with {code}:\n{errors[-3000:]}"
        found = json.loads(findings.read_text("utf-8"))
        assert "crash" not in found, found["crash"]["traceback"]
        return found

    def _add_driver(self, user: Path) -> None:
        plug_ins = user / ".local/share/krita/pykrita"
        (plug_ins / DRIVER).mkdir()
        shutil.copy(HERE / "krita_driver.py", plug_ins / DRIVER / "__init__.py")
        entry = ["[Desktop Entry]", "Type=Service", "ServiceTypes=Krita/PythonPlugin", "Name=Test"]
        entry += [f"X-KDE-Library={DRIVER}", "X-Python-2-Compatible=false"]
        (plug_ins / f"{DRIVER}.desktop").write_text("\n".join(entry) + "\n")
        settings = user / ".config/kritarc"
        text = settings.read_text("utf-8")
        assert "[python]" in text and "enable_intarsia_krita=true" in text
        text = text.replace("[python]", f"[python]\nenable_{DRIVER}=true")
        settings.write_text(text, "utf-8")

    def _take_shots(self, folder: Path) -> None:
        for wanted in folder.glob("shot-*.wanted"):
            name = wanted.stem[len("shot-") :]
            time.sleep(0.7)  # let Krita paint
            picture = read_frame((folder / "frames" / "Xvfb_screen0").read_bytes())
            picture.save(self.folder / f"{name}.png")
            self.shots[name] = picture
            wanted.rename(wanted.with_suffix(".taken"))

    @contextlib.contextmanager
    def _engines(self) -> Any:
        """Starts an engine whenever the plug-in asks for one."""
        over, wish = threading.Event(), self.engine_home / "please-start"
        environment = self.for_engine()

        def watch() -> None:
            with contextlib.ExitStack() as engines:
                while not over.wait(0.1):
                    if wish.exists():
                        wish.unlink()
                        engines.enter_context(running_engine(environment))
                        self.offer_engine()  # the engine noted its own command, unknown in the root

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def composite(*layers: Image.Image) -> np.ndarray:
    """Layers over each other, all of the canvas's size."""
    picture = layers[0].convert("RGBA")
    for layer in layers[1:]:
        picture.alpha_composite(layer.convert("RGBA"))
    return np.asarray(picture.convert("RGB")).astype(int)


def main() -> None:
    """Play scenes by hand and print the findings."""
    folder, scenes = Path(sys.argv[1]), sys.argv[2:]
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    krita = Krita(folder)
    cases = {"small": small_case(), "large": large_case()}
    shown: dict[str, Any] = {"shown_model": "produce64", "shown_classes": ("orange", "lemon")}
    store = krita.engine_home / "models"
    store.mkdir(parents=True)
    learnt = {place.name: import_model(place, store) for place in sorted(LEARNT.iterdir())}
    shown["shown_mosaic"] = learnt["fruit-portrait"]
    krita.prepare(cases, depth="U16", **shown)
    for name in ("night_sky.ora", "portrait_cap.ora"):
        shutil.copy(PAINTING.with_name(name), folder / "scenes")
    basket = folder / "scenes" / "basket"
    basket.mkdir()
    for file in LEARNT.with_name("basket").glob("*.webp"):  # Qt in the root reads no WebP
        Image.open(file).save(basket / f"{file.stem}.png")
    for name, found in krita.play(scenes, limit_s=1800).items():
        print(f"== {name}\n{found.get('traceback') or json.dumps(found, indent=1)}")


if __name__ == "__main__":
    main()
