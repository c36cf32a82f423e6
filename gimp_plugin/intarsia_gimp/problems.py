"""Whatever goes wrong becomes a sentence for the artist; the traceback goes into the log."""

from __future__ import annotations

import time
import traceback
from typing import Any

from gi.repository import Gimp, GLib

from intarsia_client.endpoint import home
from intarsia_client.errors import IntarsiaError, JobCancelled
from intarsia_gimp.texts import tr

LOG = "gimp.log"
"""In the log folder of Intarsia's home."""


class PluginError(IntarsiaError):
    """The plug-in itself did something wrong; the log has the traceback."""


def as_error(error: BaseException) -> IntarsiaError:
    """The error itself if it is ours, else a `PluginError` that names the log."""
    if isinstance(error, IntarsiaError):
        return error
    return PluginError(
        tr("The plug-in met a problem of its own: %s.") % (str(error) or type(error).__name__),
        value=type(error).__name__,
        remedy=tr("Please report it with the file %s.") % _log(error),
        action={"label": tr("Show log"), "do": "log"},
    )


def failure(procedure: Any, error: BaseException) -> Any:
    """Return values for GIMP: cancelled, or an error that GIMP shows as a message."""
    if isinstance(error, JobCancelled):
        return procedure.new_return_values(Gimp.PDBStatusType.CANCEL, None)
    text = str(as_error(error))
    return procedure.new_return_values(
        Gimp.PDBStatusType.EXECUTION_ERROR,
        GLib.Error.new_literal(Gimp.PlugIn.error_quark(), text, 0),
    )


def success(procedure: Any) -> Any:
    """Return values for GIMP: done."""
    return procedure.new_return_values(Gimp.PDBStatusType.SUCCESS, None)


def _log(error: BaseException) -> str:
    """Write the traceback and return the file's name; failing to write it is no new problem."""
    path = home() / "log" / LOG
    text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with path.open("a", encoding="utf-8") as log:
            log.write(time.strftime("%Y-%m-%d %H:%M:%S") + "\n" + text + "\n")
    except OSError:
        pass
    return str(path)
