"""The models that come with the release, found without loading the models' libraries.

``models/intarsia_models/packs/<id>/`` is laid out as an entry of the model store, with a README
and pictures beside it; `intarsia_daemon.model_store.ModelStore` lists them read-only.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

_PACKAGE, _FOLDER = "intarsia_models", "packs"


def packs_folder() -> Path:
    """Where they lie (as `intarsia_models.packs_folder`); need not exist."""
    found = importlib.util.find_spec(_PACKAGE)  # of a top-level package: nothing is imported
    places = list(found.submodule_search_locations or ()) if found is not None else []
    return Path(places[0] if places else ".") / _FOLDER
