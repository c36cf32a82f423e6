"""Tests only, a Krita plug-in: plays scenes from ``krita_scenes/`` inside the real Krita.

Everything happens in timers of Krita's own main loop, never in a nested one. The findings go into a
file; an exception in any slot, which Krita would show as a dialog, ends the program.
"""

from __future__ import annotations

import faulthandler
import importlib
import json
import os
import sys
import time
import traceback
from pathlib import Path

from krita import Extension, Krita
from PyQt5.QtCore import QTimer

FOLDER = Path(os.environ["INTARSIA_SCENES"])
ROOMS = ("editing", "collage", "rough", "whole_pictures", "parts", "pictures", "shown_parts")
TICK_MS = 50
WAIT_S = 60.0
REST_S = 1.5


class Player:
    """Plays scenes one after the other; each is a generator that yields what it waits for."""

    def __init__(self) -> None:
        self.findings = {}
        self.names = os.environ["INTARSIA_PLAY"].split(",")
        self.scene = None
        self.waiting = None
        self.rest_until = 0.0
        sys.excepthook = self.crash
        self.stacks = (FOLDER / "stacks.txt").open("w")
        faulthandler.enable(self.stacks)
        sys.path.insert(0, str(FOLDER))
        self.scenes = {}
        for name in ROOMS:
            self.scenes.update(vars(importlib.import_module("krita_scenes." + name)))
        self.timer = QTimer()
        self.timer.timeout.connect(self.tick)
        self.timer.start(TICK_MS)

    def tick(self) -> None:
        """Look whether the scene may go on."""
        self.timer.stop()  # a slow step must not be entered twice
        try:
            self.step()
        except StopIteration as end:
            self.findings[self.name] = end.value or {}
            self.rest()
        except BaseException:
            self.findings[self.name] = {"traceback": traceback.format_exc()}
            self.rest()
        self.timer.start(TICK_MS)

    def step(self) -> None:
        """One look, and if it is time one step of the scene."""
        if self.scene is None:
            if time.monotonic() < self.rest_until:
                return None
            if Krita.instance().activeDocument() is not None:
                return self.close()
            if not self.names:
                return self.end()
            self.name = self.names.pop(0)
            print("scene", self.name, flush=True)
            self.scene = self.scenes[self.name]()
            self.advance()
            return None
        check, what, deadline = self.waiting
        if check():
            self.advance()
        elif time.monotonic() > deadline:
            self.scene.throw(AssertionError("waited too long for " + what))
        return None

    def advance(self) -> None:
        """Let the scene run to its next wait."""
        check, what, *seconds = next(self.scene)
        self.waiting = (check, what, time.monotonic() + (seconds[0] if seconds else WAIT_S))

    def rest(self) -> None:
        """Between two scenes: Krita's layer list must have caught up before a picture is closed.

        Seen in Krita 5.2.9: KisNodeModel::processUpdateQueue crashes when it still holds layers of
        a picture that was closed and another one is opened.
        """
        self.scene = self.waiting = None
        self.rest_until = time.monotonic() + REST_S

    def close(self) -> None:
        """Close one picture that a scene left open, as a person would."""
        Krita.instance().activeDocument().setModified(False)
        Krita.instance().action("file_close").trigger()
        self.rest()

    def end(self) -> None:
        """Leave Krita as a person would."""
        self.write()
        for document in Krita.instance().documents():
            document.setModified(False)
        Krita.instance().action("file_quit").trigger()

    def crash(self, kind: type, error: BaseException, trace: object) -> None:
        """An exception in a slot, of Krita or of the plug-in."""
        text = "".join(traceback.format_exception(kind, error, trace))
        self.findings["crash"] = {"traceback": text}
        self.write()
        os._exit(70)

    def write(self) -> None:
        """The findings, all at once."""
        (FOLDER / "findings.new").write_text(json.dumps(self.findings), "utf-8")
        os.replace(FOLDER / "findings.new", FOLDER / "findings.json")


class Driver(Extension):
    """Krita's way in."""

    player = None

    def setup(self) -> None:
        """Nothing to set up."""

    def createActions(self, window: object) -> None:
        """The first window is there."""
        if Driver.player is None:
            Driver.player = True
            QTimer.singleShot(1500, self.begin)

    def begin(self) -> None:
        """Play."""
        try:
            Driver.player = Player()
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(70)


Krita.instance().addExtension(Driver(Krita.instance()))
