"""Recipes: what repeats an edit, stored inside the pictures it made."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from intarsia_client.errors import InvalidRequest

PNG_KEY = "intarsia:recipe"
"""Keyword of the PNG's iTXt entry."""
ORA_NAME = "intarsia/recipe.json"
"""File inside an OpenRaster container."""
_LIMIT = 4 * 2**20
_ASKED = ("operation", "version", "parameters", "seed")


def to_text(recipe: Mapping[str, Any]) -> str:
    """The recipe as JSON, always the same for the same content."""
    return json.dumps(recipe, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def recipe_hash(recipe: Mapping[str, Any], extra: Mapping[str, Any] | None = None) -> str:
    """SHA-256 of what was asked for: operation, version, parameters and seed.

    Inputs, software and device are left out: they say what it was done to and with, not what.

    Args:
        recipe: As a result carries it.
        extra: More that belongs to the request, e.g. a batch's fixed inputs.
    """
    asked = {key: recipe.get(key) for key in _ASKED}
    if extra:
        asked["extra"] = dict(extra)
    return hashlib.sha256(to_text(asked).encode()).hexdigest()


def read_recipe(path: Path) -> dict[str, Any]:
    """The recipe in a JSON file, a PNG or an OpenRaster file that Intarsia wrote.

    Raises:
        InvalidRequest: The file holds none.
    """
    try:
        text = _stored_text(path)
        recipe = json.loads(text) if text is not None else None
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise InvalidRequest(
            f"{path}: the recipe cannot be read ({error}).",
            value=str(path),
            remedy="Name a .json recipe, or a .png or .ora that Intarsia wrote.",
        ) from None
    if isinstance(recipe, dict) and isinstance(recipe.get("recipe"), dict):
        recipe = recipe["recipe"]  # what `run --json` prints
    if not isinstance(recipe, dict) or not isinstance(recipe.get("operation"), str):
        raise InvalidRequest(
            f"{path} holds no recipe.",
            value=str(path),
            remedy="Name a .json recipe, or a .png or .ora that Intarsia wrote.",
        )
    return recipe


def _stored_text(path: Path) -> str | None:
    with path.open("rb") as file:
        magic = file.read(8)
        if magic == b"\x89PNG\r\n\x1a\n":
            return _from_png(file)
        if magic[:4] == b"PK\x03\x04":
            with zipfile.ZipFile(path) as container:
                if ORA_NAME not in container.namelist():
                    return None
                with container.open(ORA_NAME) as member:
                    return member.read(_LIMIT).decode("utf-8")
        file.seek(0)
        return file.read(_LIMIT).decode("utf-8")


def _from_png(file: Any) -> str | None:
    """The recipe's iTXt entry; only our own uncompressed form is read."""
    wanted = PNG_KEY.encode() + b"\0\0\0\0\0"
    while len(head := file.read(8)) == 8:
        length, kind = int.from_bytes(head[:4], "big"), head[4:]
        if kind == b"iTXt" and length <= _LIMIT:
            data = file.read(length)
            if data.startswith(wanted):
                return data[len(wanted) :].decode("utf-8")
            file.seek(4, 1)
        else:
            file.seek(length + 4, 1)
    return None
