"""The procedures GIMP knows: one per operation, the jobs window and the engine window.

GIMP asks for them when it starts, long before any engine runs, so they are made from the catalogue
that ships with the client.
"""

from __future__ import annotations

import json
from typing import Any, Callable, Sequence

import gi

for _library, _version in (("Gimp", "3.0"), ("GimpUi", "3.0"), ("Gegl", "0.4"), ("Gtk", "3.0")):
    gi.require_version(_library, _version)

from gi.repository import Gegl, Gimp, GObject  # noqa: E402

from intarsia_client import catalog  # noqa: E402
from intarsia_client.schema import Operation, Progress, Result  # noqa: E402
from intarsia_gimp import arguments, canvas, inputs, placement, reading, tags  # noqa: E402
from intarsia_gimp.problems import failure, success  # noqa: E402
from intarsia_gimp.texts import tr  # noqa: E402

PREFIX = "python-fu-intarsia-"
JOBS = PREFIX + "jobs"
ENGINE = PREFIX + "engine"
MENU = "<Image>/Filters/Intarsia"


def procedure_name(operation: str) -> str:
    """``fill_hole`` becomes ``python-fu-intarsia-fill-hole``."""
    return PREFIX + operation.replace("_", "-")


def offered_operations() -> dict[str, Operation]:
    """The operations of the release, by procedure name."""
    return {procedure_name(found.id): found for found in catalog.operations().values()}


class IntarsiaPlugIn(Gimp.PlugIn):
    """What GIMP talks to."""

    def do_set_i18n(self, procedure_name: str) -> bool:
        """GIMP's own translation of menu labels is not used; `texts.tr` is."""
        return False

    def do_query_procedures(self) -> list[str]:
        """Names of everything this plug-in offers."""
        return [*offered_operations(), JOBS, ENGINE]

    def do_create_procedure(self, name: str) -> Any:
        """Build one procedure, at query time and again for every run."""
        if name == JOBS:
            return _window(self, JOBS, tr("Jobs…"), tr("Running and finished work"), run_jobs)
        if name == ENGINE:
            procedure = _window(self, ENGINE, tr("Engine…"), tr("State of the engine"), run_engine)
            _add_action(procedure)
            return procedure
        return _operation(self, name, offered_operations()[name])


def _operation(plug_in: Any, name: str, operation: Operation) -> Any:
    procedure = Gimp.ImageProcedure.new(
        plug_in, name, Gimp.PDBProcType.PLUGIN, guarded(run_operation), operation
    )
    procedure.set_image_types("RGB*, GRAY*" if operation.inputs else "*")
    procedure.set_sensitivity_mask(_sensitivity(operation))
    menu = f"{MENU}/{tr(operation.group)}" if operation.group else MENU
    _describe(procedure, tr(operation.title) + "…", tr(operation.summary), menu)
    arguments.add_arguments(procedure, operation)
    flags = GObject.ParamFlags.READWRITE
    procedure.add_layer_return_value("result", tr("Result"), tr("The new layer"), True, flags)
    procedure.add_string_return_value(
        "report", tr("Report"), tr("JSON: layers (their IDs), metrics and notes"), "", flags
    )
    return procedure


def _sensitivity(operation: Operation) -> Any:
    """When the menu entry can be chosen: what edits a layer needs one, other things less."""
    mask = Gimp.ProcedureSensitivityMask
    if inputs.needs_layer(operation):
        return mask.DRAWABLE | mask.DRAWABLES
    if any(item.required for item in operation.inputs):
        return mask.NO_DRAWABLES | mask.DRAWABLE | mask.DRAWABLES
    return mask.NO_IMAGE | mask.NO_DRAWABLES | mask.DRAWABLE | mask.DRAWABLES


def _window(plug_in: Any, name: str, label: str, summary: str, run: Callable[..., Any]) -> Any:
    procedure = Gimp.ImageProcedure.new(plug_in, name, Gimp.PDBProcType.PLUGIN, guarded(run), None)
    mask = Gimp.ProcedureSensitivityMask
    procedure.set_sensitivity_mask(
        mask.NO_IMAGE | mask.NO_DRAWABLES | mask.DRAWABLE | mask.DRAWABLES
    )
    _describe(procedure, label, summary)
    return procedure


def _add_action(procedure: Any) -> None:
    """For scripts: what to do without a window."""
    choice = Gimp.Choice.new()
    for index, (nick, label) in enumerate(
        (("status", tr("Status")), ("release", tr("Release memory")), ("stop", tr("Stop")))
    ):
        choice.add(nick, index, label, "")
    flags = GObject.ParamFlags.READWRITE
    procedure.add_choice_argument(
        "action", tr("Action"), tr("What to do without a window"), choice, "status", flags
    )
    procedure.add_string_return_value("text", tr("Text"), tr("What happened"), "", flags)


def _describe(procedure: Any, label: str, summary: str, menu: str = MENU) -> None:
    procedure.set_menu_label(label)
    procedure.add_menu_path(menu)
    procedure.set_documentation(summary, summary, procedure.get_name())
    procedure.set_attribution("Intarsia", "Intarsia", "2026")


# --- running --------------------------------------------------------------------------------------


def guarded(function: Callable[..., Any]) -> Callable[..., Any]:
    """Turn whatever is raised into return values that GIMP shows; by itself it only prints."""

    def run(procedure: Any, *arguments: Any) -> Any:
        try:
            return function(procedure, *arguments)
        except Exception as error:
            return failure(procedure, error)

    return run


def run_operation(
    procedure: Any,
    mode: Any,
    image: Any,
    drawables: Sequence[Any],
    config: Any,
    operation: Operation,
) -> Any:
    """Run with a dialog, or with the given values and GIMP's own progress bar."""
    Gegl.init(None)
    if mode == Gimp.RunMode.INTERACTIVE:
        from intarsia_gimp.dialog import OperationDialog

        values = OperationDialog(procedure, config, operation, image, drawables).run()
        if (
            image is not None and not image.is_valid()
        ):  # GIMP would store the settings on the closed image, and complain
            return procedure.new_return_values(Gimp.PDBStatusType.CANCEL, None)
        return values
    placed, result = run_now(image, drawables, config, operation)
    return _returned(procedure, placed, result)


def _returned(procedure: Any, placed: placement.Placed, result: Result) -> Any:
    """Return values for a script: the first new layer, and a report."""
    values = success(procedure)
    report = {
        "layers": [layer.get_id() for layer in placed.layers],
        "metrics": result.metrics,
        "notes": list(result.notes),
    }
    found = [
        GObject.Value(Gimp.Layer.__gtype__, placed.layers[0]) if placed.layers else None,
        GObject.Value(GObject.TYPE_STRING, json.dumps(report, ensure_ascii=False)),
    ]
    for index, value in enumerate(found, 1):
        if value is not None:
            values.remove(index)
            values.insert(index, value)
    return values


def run_now(
    image: Any, drawables: Sequence[Any], config: Any, operation: Operation
) -> tuple[placement.Placed, Result]:
    """Run without a dialog and insert the result.

    GIMP's Cancel button beside its progress bar kills this process without a word, so the job is
    tied to the connection.

    Returns:
        What was inserted, and all that the engine said.

    Raises:
        IntarsiaError: Nothing was changed.
    """
    from intarsia_client.client import Client
    from intarsia_gimp.work import APP

    values, seed = arguments.values_of(config, operation)
    values = arguments.remembered(values, operation, image)
    picks = arguments.picks_of(config, operation, values)
    sources = canvas.find_sources(image, drawables, operation, picks)
    place = placement.place_of(sources)
    pixels = reading.read(sources)
    Gimp.progress_init(tr(operation.verb))
    try:
        with Client.connect(app=APP) as client:
            job = client.submit(
                operation,
                pixels,
                values,
                seed=seed,
                label=image.get_name() if image is not None else "",
                on_disconnect="cancel",
            )
            result = job.wait(on_progress=_show_progress, acknowledge=False)
            placed = placement.insert(place, result)
            client.acknowledge(job.id)
    finally:
        Gimp.progress_end()
    for parameter in arguments.bindings(operation):
        tags.remember(image, values[parameter.name], values[parameter.name])
    if placed.moved:
        Gimp.message(placed.text)
    return placed, result


def _show_progress(progress: Progress) -> None:
    from intarsia_client import wording

    Gimp.progress_set_text(wording.progress_line(progress))
    Gimp.progress_update(progress.fraction)


def run_jobs(procedure: Any, mode: Any, image: Any, *_: Any) -> Any:
    """Show the jobs window; without a screen there is nothing to show."""
    from intarsia_gimp.jobs import JobsWindow

    Gegl.init(None)
    JobsWindow(image).run()
    return success(procedure)


def run_engine(procedure: Any, mode: Any, image: Any, drawables: Any, config: Any, _: Any) -> Any:
    """Show the engine window, or do the one thing a script asks for."""
    if mode == Gimp.RunMode.INTERACTIVE:
        from intarsia_gimp.engine import EngineWindow

        EngineWindow().run()
        return success(procedure)
    from intarsia_gimp.engine import act

    values = success(procedure)
    values.remove(1)
    values.insert(1, GObject.Value(GObject.TYPE_STRING, act(config.get_property("action"))))
    return values


def main(arguments: list[str]) -> None:
    """Enter GIMP's loop."""
    Gimp.main(IntarsiaPlugIn.__gtype__, arguments)
