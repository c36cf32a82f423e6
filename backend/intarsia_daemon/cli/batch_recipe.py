"""Batch recipes (TOML, docs/batch.md)."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from intarsia_client import catalog
from intarsia_client.errors import InvalidRequest
from intarsia_client.schema import MAX_SEED, Folder, Operation
from intarsia_daemon import recipes
from intarsia_daemon.cli.models import named_models
from intarsia_daemon.cli.outputs import SUFFIXES
from intarsia_daemon.cli.wishes import Wish, pictures_in, split_layer, wish_of
from intarsia_daemon.output_manifest import file_hash

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pyright: ignore[reportMissingImports]

_KEYS = ("operation", "seed", "each", "parameters", "inputs", "place", "output")
_OUTPUT_KEYS = ("name", "layers_only")


@dataclass
class BatchRecipe:
    """One request for many files, checked."""

    operation: Operation
    parameters: dict[str, Any]
    seed: int
    each: dict[str, str]
    """Which input (``ROLE`` or ``ROLE:NAME``) takes the file, and which layer of it (empty: the
    flat picture)."""
    fixed: list[Wish]
    places: dict[str, tuple[int, int]]
    name: str = "{stem}-{operation}.png"
    layers_only: bool = False
    fixed_hashes: dict[str, str] = field(default_factory=dict)

    def wishes(self, file: Path) -> list[Wish]:
        """The inputs for one file."""
        given = [wish_of(key, file, layer) for key, layer in self.each.items()] + self.fixed
        return [replace(w, place=self.places.get(w.key, self.places.get(w.input))) for w in given]

    def output_name(self, file: Path, index: int) -> str:
        """The output's file name for the ``index``-th file (from 1)."""
        return self.name.format(
            stem=file.stem, index=index, operation=self.operation.id, seed=self.seed
        )

    def hash(self) -> str:
        """What the manifest compares: everything that changes an output's pixels or form."""
        asked = {
            "operation": self.operation.id,
            "version": self.operation.version,
            "parameters": self.parameters,
            "seed": self.seed,
        }
        extra = {
            "each": self.each,
            "fixed": self.fixed_hashes,
            "places": {name: list(place) for name, place in self.places.items()},
            "suffix": Path(self.name).suffix,
            "layers_only": self.layers_only,
        }
        return recipes.recipe_hash(asked, extra)


def read_batch_recipe(path: Path) -> BatchRecipe:
    """Read and check a batch recipe.

    Raises:
        InvalidRequest: It cannot be read, or something in it is wrong; the message begins with
            the file's name.
    """
    try:
        return _build(tomllib.loads(path.read_text("utf-8")), path.parent)
    except OSError as error:
        problem = InvalidRequest(f"{path} cannot be read ({error.strerror}).", value=str(path))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        problem = InvalidRequest(f"{path} is no TOML file: {error}.", value=str(path))
    except InvalidRequest as error:
        problem = InvalidRequest(f"{path}: {error.what}", value=error.value, remedy=error.remedy)
    raise problem from None


def _build(data: Mapping[str, Any], folder: Path) -> BatchRecipe:
    _known(data, _KEYS, "recipe")
    operation = catalog.operation(str(_typed(data, "operation", str, None)))
    parameters = _whole_paths(operation, _typed(data, "parameters", dict, {}), folder)
    fixed: list[Wish] = []
    for name, value in _by_key(_typed(data, "inputs", dict, {})).items():
        for text in value if isinstance(value, list) else [value]:
            if not isinstance(text, str):
                raise _wrong(f"The input {name!r} must name a file, got {text!r}.", text)
            file, layer = split_layer(str(folder / text))
            if not file.exists():
                raise _wrong(f"The input {name!r} names {file}, which does not exist.", str(file))
            fixed.append(wish_of(name, file, layer))
    each = _each(data, operation)
    wishes = [*(wish_of(key, Path(), "") for key in each), *fixed]
    given = [wish.input for wish in wishes]
    both = sorted(set(each) & {wish.key for wish in fixed})
    if both:
        raise _wrong(f"{both[0]!r} stands in each and in [inputs].", both[0])
    keys = {key for wish in wishes for key in (wish.input, wish.key)}
    places = _places(_typed(data, "place", dict, {}), keys)
    seed = _typed(data, "seed", int, 0)
    if not 0 <= seed <= MAX_SEED:
        raise _wrong(f"seed must lie in [0, {MAX_SEED}], got {seed}.", seed)
    output = _typed(data, "output", dict, {})
    _known(output, _OUTPUT_KEYS, "[output]")
    recipe = BatchRecipe(
        operation=operation,
        parameters=named_models(operation, operation.check(given, parameters)),
        seed=seed,
        each=each,
        fixed=fixed,
        places=places,
        name=_typed(output, "name", str, "{stem}-{operation}.png"),
        layers_only=_typed(output, "layers_only", bool, False),
    )
    _check_name(recipe)
    for wish in fixed:
        for path in pictures_in(wish.path) if wish.path.is_dir() else [wish.path]:
            key = f"{wish.key}#{wish.layer}"
            if key in recipe.fixed_hashes:  # one of several
                key += f"@{len(recipe.fixed_hashes)}"
            recipe.fixed_hashes[key] = file_hash(path)
    return recipe


def _by_key(table: Mapping[str, Any]) -> dict[str, Any]:
    """A table of inputs by ``ROLE`` or ``ROLE:NAME``; ``ROLE = {NAME = …}`` is another spelling."""
    found: dict[str, Any] = {}
    for role, value in table.items():
        named = value.items() if isinstance(value, dict) else [("", value)]
        found.update((f"{role}:{name}" if name else role, item) for name, item in named)
    return found


def _whole_paths(
    operation: Operation, parameters: Mapping[str, Any], folder: Path
) -> dict[str, Any]:
    """Folders are named from the recipe's own one, as files are."""
    found = dict(parameters)
    for parameter in operation.parameters:
        value = found.get(parameter.name)
        if isinstance(parameter, Folder) and isinstance(value, str) and value:
            found[parameter.name] = os.path.abspath(folder / Path(value).expanduser())
    return found


def _each(data: Mapping[str, Any], operation: Operation) -> dict[str, str]:
    """``each = "picture"``, or a table from inputs to layers of the file."""
    first = operation.inputs[0].name if operation.inputs else ""
    each = data.get("each", first)
    if isinstance(each, str):
        each = {each: ""}
    each = _by_key(each) if isinstance(each, dict) else {}
    if not each or not all(isinstance(v, str) for v in each.values()):
        raise _wrong(
            "each must be an input's name, or a table from inputs to layers.", data.get("each")
        )
    for name in each:
        operation.input(wish_of(name, Path(), "").input)
    return {name: layer.removeprefix("#") for name, layer in each.items()}


def _places(data: Mapping[str, Any], given: Collection[str]) -> dict[str, tuple[int, int]]:
    places = {}
    for name, value in data.items():
        if name not in given:
            raise _wrong(f"[place] names {name!r}, which is no given input.", name)
        whole = isinstance(value, list) and len(value) == 2
        if not whole or not all(isinstance(v, int) and not isinstance(v, bool) for v in value):
            raise _wrong(f"[place] {name} must be two whole numbers, got {value!r}.", value)
        places[name] = (value[0], value[1])
    return places


def _check_name(recipe: BatchRecipe) -> None:
    try:
        example = recipe.output_name(Path("photo.png"), 1)
    except (KeyError, IndexError, ValueError):
        raise _wrong(
            f"The output name {recipe.name!r} has an unknown field.",
            recipe.name,
            "The fields are {stem}, {index}, {operation} and {seed}.",
        ) from None
    if Path(example).suffix not in SUFFIXES or Path(example).name != example:
        raise _wrong(
            f"The output name {recipe.name!r} must be a file name that ends in .png or .ora.",
            recipe.name,
        )
    if "{stem" not in recipe.name and "{index" not in recipe.name:
        raise _wrong(
            f"The output name {recipe.name!r} is the same for every file.",
            recipe.name,
            "Use {stem} or {index} in it.",
        )


def _typed(data: Mapping[str, Any], key: str, kind: type, default: Any) -> Any:
    value = data.get(key, default)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        names = {str: "a text", dict: "a table", int: "a whole number", bool: "true or false"}
        raise _wrong(f"{key} must be {names[kind]}, got {value!r}.", value)
    return value


def _known(data: Mapping[str, Any], keys: Sequence[str], where: str) -> None:
    for key in data:
        if key not in keys:
            raise _wrong(f"The {where} has no entry {key!r}.", key, f"It has: {', '.join(keys)}.")


def _wrong(
    what: str, value: Any, remedy: str = "docs/batch.md describes the format."
) -> InvalidRequest:
    return InvalidRequest(what, value=value, remedy=remedy)
