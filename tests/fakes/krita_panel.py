"""The panel in a Krita made for tests, with an engine that only notes what it is asked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from qt_binding import QtWidgets

from intarsia_client.schema import (
    Choice,
    ClassBinding,
    ClassName,
    Folder,
    Input,
    ModelRef,
    Operation,
    Option,
    Scalar,
    Text,
)
from intarsia_krita.jobs import Event

PACKS = [
    {
        "id": "fruit-64",
        "title": "Fruit",
        "family": "sngan-projection",
        "resolution": 64,
        "capabilities": ["classes", "spatial_classes"],
        "labels": ["lemon", "lime", "pear", "granny smith"],
    },
    {
        "id": "faces-64",
        "title": "Faces",
        "family": "stylegan2",
        "resolution": 64,
        "capabilities": ["w_plus"],
        "labels": [],
    },
]
CHANGE = Operation(
    "change",
    "Change",
    "Change the area",
    "Change it.",
    (
        Input("picture", "picture", "Picture", "The active layer."),
        Input("area", "area", "Area", "Where.", required=False),
        Input("areas", "area", "Areas", "By colour.", required=False, several=True),
        Input("references", "reference", "References", "Taken from.", False, several=True),
        Input("piece", "element", "Piece", "What was moved.", required=False),
    ),
    (
        ModelRef("model", "Model", "Which model.", capability="classes"),
        ClassName("class_name", "Class", "What the area becomes."),
        ClassBinding("classes", "Classes by colour", "What each area becomes."),
        Scalar("amount", "Amount", "How much.", 0.0, 1.0, 1.0, recompute=False),
        Choice("layers", "Layers", "Which.", (Option("all", "All"), Option("few", "Few")), "all"),
        Text("layer_names", "Layer names", "By name.", advanced=True),
    ),
)
LEARN = Operation(
    "learn",
    "Learn",
    "Train",
    "Train a model.",
    (),
    (Folder("folder", "Folder of pictures", "One folder in it for each class."),),
    trains=True,
)
TEACH = replace(
    LEARN, id="teach", parameters=(Folder("folder", "Folder", "Of pictures.", required=True),)
)


class RecordedJobs:
    """Takes what the docker asks of the engine, and does nothing."""

    def __init__(self, tell: Any) -> None:
        self.asked: list[tuple[str, tuple[Any, ...]]] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *values: self.asked.append((name, values))

    def named(self, name: str) -> list[tuple[Any, ...]]:
        return [values for asked, values in self.asked if asked == name]


def part(docker: Any, name: str) -> Any:
    """A widget of the panel by its name."""
    found = docker.findChild(QtWidgets.QWidget, name)
    assert found is not None, name
    return found


def send(docker: Any, kind: str, job: str = "", value: Any = None) -> None:
    """Let something happen in the engine."""
    docker._happen(Event(kind, job, value))
    QtWidgets.QApplication.processEvents()


def run(docker: Any) -> str:
    """Press Run; the job's id."""
    part(docker, "intarsia_run").click()
    return docker.jobs.named("run")[-1][0].job
