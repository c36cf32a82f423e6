"""Pictures for the documentation: the real GIMP 3 with a mosaic, and its menu.

python -m tests.editors.gimp_shown FOLDER   by hand
"""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

from PIL import Image
from tests.editors import gimp_session as session
from tests.support import ROOT, running_engine

from intarsia_daemon.model_import import import_model

DEMO = ROOT / "backend" / "intarsia_daemon" / "demo"
RUN = KEEP = (90, 40)
"""Run turns into Keep in the same place: pixels from the lower right corner."""
LIMIT_S = 300


def prepared(folder: Path) -> tuple[session.Gimp, Path]:
    """A GIMP with the demonstration's model, and its portrait below photographs of fruit."""
    gimp = session.Gimp(folder / "user", folder / "engine")
    gimp.install()
    gimp.engine_home.mkdir(mode=0o700, exist_ok=True)
    model = import_model(DEMO / "models" / "fruit-portrait", gimp.engine_home / "models")
    gimp.environment["MOSAIC"] = model
    basket, portrait = gimp.folder / "basket", gimp.folder / "portrait_cap.ora"
    basket.mkdir()
    for file in (DEMO / "basket").glob("*.webp"):
        Image.open(file).save(basket / f"{file.stem}.png")
    shutil.copy(DEMO / "pictures" / portrait.name, portrait)
    saved = gimp.folder / "portrait.xcf"
    gimp.play("prepare_basket", PICTURE=str(portrait), BASKET=str(basket), SAVED=str(saved))
    return gimp, saved


def main() -> None:
    """Take the pictures; they lie in FOLDER/user."""
    folder = Path(sys.argv[1])
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    gimp, saved = prepared(folder)
    environment = session.engine_environment(gimp.engine_home)
    with running_engine(environment), gimp.screen(saved) as screen:
        screen.tool("windowfocus", "--sync", screen.main, "mousemove", "434", "13", "click", "1")
        time.sleep(1.0)
        screen.tool("key", "Up", "key", "Right", "key", "Right")
        time.sleep(1.0)
        screen.shot("menu")
        screen.tool("key", "Escape", "key", "Escape", "key", "Escape", "key", "Escape")
        dialog = screen.open("python-fu-intarsia-mosaic", "Mosaic")
        time.sleep(2.0)
        screen.shot("mosaic-dialog")
        screen.click(dialog, *RUN)
        session.wait_for(lambda: len(screen.layers()) == 3, LIMIT_S, "the result")
        time.sleep(2.0)
        screen.shot("mosaic-result")
        screen.click(dialog, *KEEP)
        session.wait_for(lambda: not screen.window("^Mosaic$"), 20, "the dialog to close")
        screen.press("ctrl+z")
        screen.press(f"ctrl+alt+{session.SHORTCUTS['python-fu-gimp-mosaic']}")
        session.wait_for(lambda: screen.probe()["parasites"], LIMIT_S, "the layers")
        time.sleep(3.0)
        screen.shot("mosaic-layers")


if __name__ == "__main__":
    main()
