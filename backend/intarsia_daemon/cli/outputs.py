"""From result layers to files: a flat PNG, or an OpenRaster document with the layers added."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from intarsia_client.errors import InvalidRequest
from intarsia_client.schema import Operation, Result, ResultLayer
from intarsia_daemon import recipes
from intarsia_daemon.cli.sources import Source
from intarsia_daemon.documents import deep_pictures, openraster, pictures
from intarsia_daemon.documents.compositing import apply_layer_mask, render
from intarsia_daemon.documents.document import Document, Layer, LayerMask
from intarsia_daemon.output_manifest import write_whole

SUFFIXES = (".png", ".ora")
_NUMPY = {"u8": "uint8", "u16": "<u2", "f32": "<f4"}


@dataclass(frozen=True)
class Written:
    """An output file and what to tell about it."""

    path: Path
    notes: list[str]


def check_target(path: Path, inputs: Sequence[Path] = ()) -> None:
    """Check an output's name before anything runs.

    Raises:
        InvalidRequest: Another format, a missing or read-only folder, or an input would be lost.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise InvalidRequest(
            f"{path}: the output must be a .png or an .ora file.",
            value=str(path),
            remedy="Name it with one of these endings.",
        )
    if not path.parent.is_dir():
        raise InvalidRequest(
            f"{path}: there is no folder {path.parent}.",
            value=str(path),
            remedy="Make it first, or name another one.",
        )
    if path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
        raise InvalidRequest(
            f"{path} cannot be written.", value=str(path), remedy="Name another place."
        )
    if any(path.resolve() == item.resolve() for item in inputs):
        raise InvalidRequest(
            f"{path} is also an input; it would be lost.",
            value=str(path),
            remedy="Give the output another name.",
        )


def write_output(
    path: Path,
    operation: Operation,
    sources: Sequence[Source],
    result: Result,
    *,
    layers_only: bool = False,
) -> Written:
    """Write a result, whole or not at all.

    Args:
        path: Ends in ``.png`` (flattened) or ``.ora`` (all layers).
        operation: Says which source is the picture and which the element.
        sources: The inputs as read.
        result: What the engine gave back.
        layers_only: Leave out everything but the result's own layers.

    Raises:
        OSError: The disk is full, or the folder cannot be written.
    """
    scene = _Scene(operation, sources, result)
    if path.suffix.lower() == ".png":
        data = scene.png(layers_only)
    else:
        data = scene.openraster(layers_only)
    write_whole(path, data)
    return Written(path, scene.notes)


def check_frames_folder(folder: Path) -> None:
    """Check before anything runs where frames are to go.

    Raises:
        InvalidRequest: It is a file, or lies where nothing can be made.
    """
    parent = folder if folder.exists() else folder.parent
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise InvalidRequest(
            f"{folder} is no folder that frames can be written to.",
            value=str(folder),
            remedy="Name a folder, or a new one inside a folder that is there.",
        )


def write_frames(
    folder: Path,
    stem: str,
    operation: Operation,
    sources: Sequence[Source],
    result: Result,
    *,
    layers_only: bool = False,
) -> list[Path]:
    """Write the picture at every amount that was computed, the result's own amount included.

    Args:
        folder: Made where it is missing.
        stem: How the files' names begin; ``-AMOUNT.png`` follows, and the layer's number before
            it where several layers have frames.
        operation: As in `write_output`.
        sources: As in `write_output`.
        result: What the engine gave back.
        layers_only: As in `write_output`.

    Returns:
        The files, by layer and amount.

    Raises:
        OSError: The disk is full, or the folder cannot be written.
    """
    written = []
    numbers = sorted({frame.frame_of for frame in result.frames if frame.frame_of is not None})
    for number in numbers:
        whole = result.layers[number]
        amounts = [frame for frame in result.frames if frame.frame_of == number]
        amounts += [whole] if whole.amount is not None else []
        for frame in sorted(amounts, key=lambda item: item.amount or 0.0):
            layers = tuple(frame if i == number else x for i, x in enumerate(result.layers))
            middle = f"-{number + 1}" if len(numbers) > 1 else ""
            path = folder / f"{stem}{middle}-{frame.amount:.3f}.png"
            folder.mkdir(exist_ok=True)
            shown = replace(result, layers=layers)
            write_output(path, operation, sources, shown, layers_only=layers_only)
            written.append(path)
    return written


class _Scene:
    """The picture, the element and the results, in the picture's own colours."""

    def __init__(self, operation: Operation, sources: Sequence[Source], result: Result) -> None:
        self._picture = _by_role(operation, sources, "picture")
        self._element = _by_role(operation, sources, "element")
        # an optional element only says where something goes; it is not part of the picture
        self._pasted = _by_role(operation, sources, "element", required=True)
        self._pieces = [s for s in sources if operation.input(s.wish.input).role == "templates"]
        self._base = self._picture or (sources[0] if sources else None)
        self._text = recipes.to_text(result.recipe)
        self.notes: list[str] = []
        self._icc = self._base.icc if self._base is not None else None
        self._results = self._result_layers(result.layers)

    def png(self, layers_only: bool) -> bytes:
        layers = list(self._results)
        if not layers_only:
            shown = [s for s in (self._pasted, self._picture) if s is not None]
            layers += [self._input_layer(source) for source in shown]
        width, height = self._size()
        dtype = "uint8"
        if self._base is not None and self._base.array.dtype != np.uint8:
            dtype = "uint16"
            if self._base.array.dtype == np.float32:
                self.notes.append("The float picture was written with 16 bits.")
        array = render(layers, 0, 0, width, height, dtype=dtype)
        return pictures.encode_png(array, self._icc, {recipes.PNG_KEY: self._text})

    def openraster(self, layers_only: bool) -> bytes:
        width, height = self._size()
        document = Document(width, height, list(self._results), icc=self._icc)
        if not layers_only:
            document.layers = self._all_layers()
        self._tell_changes(document)
        return openraster.write(document, {recipes.ORA_NAME: self._text.encode("utf-8")})

    def _all_layers(self) -> list[Layer]:
        """The picture's or the pieces' own layers, with the element and the results put in."""
        if self._picture is None:
            return self._over_pieces()
        original = self._picture.document
        anchor = self._picture.layer
        if self._element is not None and self._element.document is original:
            anchor = self._element.layer or anchor
        layers = _keep(original.layers, anchor, self._results)
        if self._missing(original):
            stored = original.merged if original.merged is not None else self._picture.array
            layers.insert(0 if anchor is None else len(layers), Layer("Flat picture", array=stored))
        if self._pasted is not None and self._pasted.document is not original:
            layers.insert(0, self._input_layer(self._pasted))
        return layers if anchor is not None else [*self._results, *layers]

    def _over_pieces(self) -> list[Layer]:
        """The results right above the pieces: in their document, or over the pieces alone."""
        if not self._pieces:
            return list(self._results)
        original, last = self._pieces[-1].document, self._pieces[-1].layer
        whole = last is not None and all(piece.document is original for piece in self._pieces)
        if not whole or self._missing(original):
            return [*self._results, *(self._input_layer(s) for s in reversed(self._pieces))]
        anchor = next(
            (group for _, group in original.walk() if any(x is last for x in group.children or [])),
            last,
        )
        return _keep(original.layers, anchor, self._results)

    def _missing(self, original: Document) -> bool:
        """Whether layers without pixels had to be left out."""
        lost = [
            path for path, layer in original.walk() if layer.array is None and not layer.is_group
        ]
        if lost:
            names = ", ".join(lost[:3])
            self.notes.append(
                f"OpenRaster cannot hold {names}; the flat picture stands in for what is lost."
            )
        return bool(lost)

    def _tell_changes(self, document: Document) -> None:
        found = [layer for _, layer in document.walk()]
        if any(layer.layer_mask is not None for layer in found):
            self.notes.append("Layer masks were applied: OpenRaster has none.")
        if any(layer.array is not None and layer.array.dtype == np.float32 for layer in found):
            self.notes.append("Float layers were written with 16 bits.")
        if any(layer.blend in ("subtract", "linear-burn", "exclusion") for layer in found):
            self.notes.append("Some blend modes have no name in OpenRaster and became normal.")

    def _size(self) -> tuple[int, int]:
        """The picture's canvas; larger where a result, a contact sheet say, is no part of it."""
        results = [x for _, x in Document(0, 0, self._results).walk()]
        arrays = [(x, x.array.shape) for x in results if x.array is not None]
        right = max(layer.x + shape[1] for layer, shape in arrays)
        bottom = max(layer.y + shape[0] for layer, shape in arrays)
        if self._base is None:
            return right, bottom
        width, height = self._base.document.width, self._base.document.height
        if self._base in self._pieces and not self._base.document.is_flat:
            ends = [(s.x + s.array.shape[1], s.y + s.array.shape[0]) for s in self._pieces]
            across, down = (max(side) for side in zip(*ends, strict=True))
            if right <= max(width, across) and bottom <= max(height, down):
                return width, height  # pieces may stand out over their document's canvas
            return max(width, right), max(height, bottom)
        base, (rows, columns) = self._base, self._base.array.shape[:2]
        if right > base.x + columns or bottom > base.y + rows:
            return max(width, right), max(height, bottom)
        return width, height

    def _input_layer(self, source: Source) -> Layer:
        array = source.array
        if source is not self._base and (source.icc != self._icc):
            array = source.profile.to_srgb(array) if source.profile is not None else array
            array = self._own_colors(array)
        return Layer(source.name, source.x, source.y, array)

    def _result_layers(self, layers: Sequence[ResultLayer]) -> list[Layer]:
        """The layers, top first, in their groups; masks are in the alpha, colours stay below."""
        masks = {layer.mask_of: layer for layer in layers if layer.mask_of is not None}
        found: list[Layer] = []
        for index, layer in reversed(list(enumerate(layers))):
            if layer.mask_of is not None:
                continue
            made = self._result_layer(layer)
            if index in masks:
                made.array = apply_layer_mask(replace(made, layer_mask=_layer_mask(masks[index])))
            if layer.group and not (found and found[-1].is_group and found[-1].name == layer.group):
                found.append(Layer(layer.group, children=[]))
            siblings = found[-1].children if layer.group else found
            (found if siblings is None else siblings).append(made)
        return found

    def _result_layer(self, layer: ResultLayer) -> Layer:
        array = _array(layer)
        if layer.channels == 1:
            array = deep_pictures.to_rgba(array)
        return Layer(layer.name, layer.x, layer.y, self._own_colors(array))

    def _own_colors(self, array: np.ndarray) -> np.ndarray:
        """sRGB to the picture's colours."""
        profile = self._base.profile if self._base is not None else None
        return array if profile is None else profile.from_srgb(array)


def _array(layer: ResultLayer) -> np.ndarray:
    shape = (layer.height, layer.width, layer.channels)
    array = np.frombuffer(layer.data, _NUMPY[layer.dtype]).reshape(shape)
    return array.astype(array.dtype.newbyteorder("="))


def _layer_mask(layer: ResultLayer) -> LayerMask:
    return LayerMask(_array(layer)[..., 0], layer.x, layer.y)


def _by_role(
    operation: Operation, sources: Sequence[Source], role: str, *, required: bool = False
) -> Source | None:
    for source in sources:
        item = operation.input(source.wish.input)
        if item.role == role and item.required >= required:
            return source
    return None


def _keep(layers: Sequence[Layer], anchor: Layer | None, results: Sequence[Layer]) -> list[Layer]:
    """A copy of a layer tree without what has no pixels, the results right above the anchor."""
    kept: list[Layer] = []
    for layer in layers:
        if layer is anchor:
            kept.extend(results)
        if layer.children is not None:
            kept.append(replace(layer, children=_keep(layer.children, anchor, results)))
        elif layer.array is not None:
            kept.append(layer)
    return kept
