"""From what was wished on the command line to pixels for the engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from intarsia_client import wire
from intarsia_client.errors import InvalidRequest
from intarsia_client.schema import Input, Operation, Pixels
from intarsia_daemon.cli.labelled_areas import (
    labelled_layers,
    open_areas,
    wanted_labels,
    without,
)
from intarsia_daemon.cli.wishes import BELOW, Wish, pictures_in
from intarsia_daemon.documents.color_profile import ColorProfile, ProfileError
from intarsia_daemon.documents.compositing import apply_layer_mask, below, flatten, render
from intarsia_daemon.documents.document import FULL, WIRE_DTYPE, Document, Layer
from intarsia_daemon.documents.pieces import Piece, groups_told, piece_of, pieces_of
from intarsia_daemon.documents.reading import read_document


@dataclass
class Source:
    """The pixels of one wish: in the file's own colours for writing, in sRGB for the engine."""

    wish: Wish
    document: Document
    layer: Layer | None
    """The layer that was named, if one was."""
    name: str
    array: np.ndarray
    """(H, W, 4) in the file's own colour space, uint8, uint16 or float32."""
    x: int = 0
    y: int = 0
    profile: ColorProfile | None = None
    """None: the colours are sRGB."""
    icc: bytes | None = None
    """What to store with pictures in these colours; None is plain sRGB."""
    alpha_only: bool = False
    """As an area: whether the alpha counts however opaque it is, and the brightness never."""
    notes: list[str] = field(default_factory=list)

    def pixels(self, wanted: Input) -> Pixels:
        """What is sent: RGBA in sRGB, or coverage for an area."""
        array = self.array if self.profile is None else self.profile.to_srgb(self.array)
        if array.dtype == np.float32:
            array = np.clip(array, 0, 1)
        if wanted.role == "area":
            cut_out = self.alpha_only or self._is_cut_out()
            array = np.ascontiguousarray(array[..., 3]) if cut_out else coverage(array)
        height, width = array.shape[:2]
        return Pixels(
            input=self.wish.input,
            width=width,
            height=height,
            channels=1 if array.ndim == 2 else 4,
            data=np.ascontiguousarray(array).data.cast("B"),
            dtype=WIRE_DTYPE[array.dtype.name],
            x=self.x,
            y=self.y,
            name=self.name,
        )

    def _is_cut_out(self) -> bool:
        """Whether it is a layer that leaves some of the canvas free."""
        layer, document = self.layer, self.document
        if layer is None or layer.array is None:
            return False
        height, width = layer.array.shape[:2]
        right, bottom = layer.x + width, layer.y + height
        covers = right >= document.width and bottom >= document.height
        return layer.x > 0 or layer.y > 0 or not covers


def coverage(array: np.ndarray) -> np.ndarray:
    """(H, W) coverage: the alpha where anything is transparent, otherwise the brightness."""
    full = FULL[array.dtype.name]
    if (array[..., 3] < full).any():
        return np.ascontiguousarray(array[..., 3])
    values = array[..., :3] @ np.array([0.2126, 0.7152, 0.0722])
    return np.ascontiguousarray((values if full == 1.0 else np.rint(values)).astype(array.dtype))


class SourceReader:
    """Reads files once, however many layers are taken from them."""

    def __init__(self) -> None:
        self._documents: dict[Path, Document] = {}

    def read_all(
        self,
        operation: Operation,
        wishes: Sequence[Wish],
        parameters: Mapping[str, Any] | None = None,
    ) -> list[Source]:
        """The sources for an operation, in the order given.

        Where the operation takes several areas and none is given, the layers of the picture's file
        with a colour label are the areas (`intarsia_daemon.cli.labelled_areas`), and are left out
        of a flattened picture.

        Args:
            operation: Whose inputs they are.
            wishes: What is given.
            parameters: Their values say which labels are meant.

        Raises:
            InvalidRequest, FileRejected: An input, a file or a layer is wrong.
        """
        sources: list[Source] = []
        for wish in wishes:
            wanted = operation.input(wish.input)
            sources.extend(self._wished(wish, wanted))
            if not wanted.several and sum(s.wish.input == wish.input for s in sources) > 1:
                several = ", ".join(item.name for item in operation.inputs if item.several)
                raise InvalidRequest(
                    f"The input {wish.input!r} is given twice.",
                    value=wish.input,
                    remedy=f"Give it once; these may be several: {several or 'none'}.",
                )
        sources = self._with_labelled(operation, sources, parameters or {})
        if len(sources) > wire.MAX_BUFFERS:
            raise InvalidRequest(
                f"{len(sources)} pictures are given; at most {wire.MAX_BUFFERS} can be sent.",
                value=len(sources),
                remedy="Give fewer: hide layers, merge some, or take pictures out of the folder.",
                code="TOO_LARGE",
            )
        return sources

    def read(self, wish: Wish) -> Source:
        """One source.

        Raises:
            InvalidRequest, FileRejected: The file or the layer is wrong.
        """
        document = self._open(wish.path)
        if not wish.layer:
            source = _whole(wish, document)
        else:
            source = _named(wish, document)
        return _placed(source)

    def _with_labelled(
        self, operation: Operation, sources: list[Source], parameters: Mapping[str, Any]
    ) -> list[Source]:
        areas = open_areas(operation, [source.wish.input for source in sources])
        picture = next(
            (s for s in sources if operation.input(s.wish.input).role == "picture"), None
        )
        if areas is None or picture is None:
            return sources
        labels = wanted_labels(operation, areas, parameters)
        document = picture.document
        found = labelled_layers(document, labels, picture.layer)
        if not found:
            return sources
        if not picture.wish.layer:
            flat = _whole(picture.wish, document, drawn=without(document, found))
            sources = [_placed(flat) if source is picture else source for source in sources]
        added = [
            _from_layer(
                Wish(areas.name, picture.wish.path, layer.name, name=layer.color_label),
                document,
                layer,
            )
            for layer in found
        ]
        for source in added:
            source.alpha_only = True
        told = ", ".join(f"{layer.color_label} ({layer.name})" for layer in found)
        added[0].notes.append(f"{picture.wish.path.name}: Areas by colour label: {told}.")
        return [*sources, *added]

    def _wished(self, wish: Wish, wanted: Input) -> list[Source]:
        if not wanted.several:
            return [self.read(wish)]
        if wish.path.is_dir():
            return [self.read(replace(wish, path=path)) for path in pictures_in(wish.path)]
        return self._pieces(wish) if wanted.role == "templates" else self._several(wish)

    def _pieces(self, wish: Wish) -> list[Source]:
        """The layers of a document or of its group, back to front, or the one layer named."""
        document = self._open(wish.path)
        if wish.layer.startswith(BELOW) or (not wish.layer and document.is_flat):
            return [self.read(wish)]
        try:
            found = _pieces(document, wish.layer)
        except InvalidRequest as error:
            what = f"{wish.path}: {error.what}"
            raise InvalidRequest(what, value=error.value, remedy=error.remedy) from None
        left, top = min(p.x for p in found), min(p.y for p in found)
        dx, dy = (wish.place[0] - left, wish.place[1] - top) if wish.place else (0, 0)
        sources = []
        for piece in found:
            layer, notes = piece.layer, list(piece.notes)
            icc = layer.icc or document.icc
            place = (piece.x + dx, piece.y + dy)
            own = replace(wish, place=place, name=wish.name if len(found) == 1 else "")
            sources.append(
                _source(own, document, layer, layer.name, piece.array, place, icc, notes)
            )
        return [_placed(source) for source in sources]

    def _several(self, wish: Wish) -> list[Source]:
        """The layers of a group, or what is named."""
        first = self.read(wish)
        if first.layer is None or first.layer.children is None:
            return [first]
        return [
            _from_layer(wish, first.document, layer)
            for layer in first.layer.children
            if layer.visible
        ]

    def _open(self, path: Path) -> Document:
        key = path.resolve()
        if key not in self._documents:
            self._documents[key] = read_document(path)
        return self._documents[key]


def _pieces(document: Document, name: str) -> list[Piece]:
    """The pieces that a name means: of a group its layers, of nothing the document's.

    Raises:
        InvalidRequest: There is no such layer or group; the message lists the groups there are.
    """
    if not name:
        return pieces_of(document, None)
    if not any(name in (path, layer.name) for path, layer in document.walk()):
        raise InvalidRequest(
            f"There is no group or layer named {name!r}.", value=name, remedy=groups_told(document)
        )
    layer = document.find(name)
    return pieces_of(document, layer) if layer.is_group else [piece_of(document, layer)]


def _placed(source: Source) -> Source:
    """The source where it was wished to be, its notes with the file's name."""
    if source.wish.place is not None:
        source.x, source.y = source.wish.place
    source.notes = [f"{source.wish.path.name}: {note}" for note in source.notes]
    return source


def _whole(wish: Wish, document: Document, *, drawn: Document | None = None) -> Source:
    """A file's flat picture; ``drawn`` is what counts of the document, if it is not all."""
    drawn = drawn or document
    icc, notes = document.icc, list(document.notes)
    lone = drawn.layers[0] if drawn.is_flat else None
    if lone is not None and lone.array is not None:
        plain = lone.opacity == 1 and lone.visible
        if plain and lone.layer_mask is None and not lone.foreign:
            return _source(wish, document, None, wish.path.stem, lone.array, (0, 0), icc, notes)
    foreign = drawn.foreign()
    if foreign and drawn.merged is not None:
        array, icc = drawn.merged, drawn.merged_icc
        notes.append(f"The flat picture stored in the file is used, because of {_some(foreign)}.")
    else:
        array = flatten(drawn)
        if foreign:
            notes.append(
                f"Left out, because only the program that wrote it draws it: {_some(foreign)}."
            )
    return _source(wish, document, None, wish.path.stem, array, (0, 0), icc, notes)


def _named(wish: Wish, document: Document) -> Source:
    """One layer of a file, or everything below it."""
    try:
        return _from_layer(wish, document, document.find(wish.layer))
    except InvalidRequest as error:
        if not wish.layer.startswith(BELOW):
            raise InvalidRequest(
                f"{wish.path}: {error.what}", value=error.value, remedy=error.remedy
            ) from None
    layer = document.find(wish.layer[len(BELOW) :])
    notes, foreign = list(document.notes), document.foreign()
    if foreign:
        notes.append(f"Not drawn as by the program that wrote it: {_some(foreign)}.")
    name = f"Below {layer.name}"
    return _source(wish, document, None, name, below(document, layer), (0, 0), document.icc, notes)


def _from_layer(wish: Wish, document: Document, layer: Layer) -> Source:
    icc, notes = layer.icc or document.icc, []
    if layer.children is not None:
        width, height = document.width, document.height
        array = render(layer.children, 0, 0, width, height)
        place = (0, 0)
    elif layer.array is None:
        raise InvalidRequest(
            f"{wish.path}: {layer.name!r} is {layer.foreign}, which has no pixels of its own.",
            value=layer.name,
            remedy="Convert it to a paint layer in the program that wrote it.",
        )
    else:
        array, place = apply_layer_mask(layer), (layer.x, layer.y)
        if layer.foreign:
            notes.append(f"{layer.name!r} is {layer.foreign}; its plain pixels are used.")
    if layer.opacity < 1:
        notes.append(f"{layer.name!r} is read at full opacity, not at {layer.opacity:.0%}.")
    return _source(wish, document, layer, layer.name, array, place, icc, notes)


def _source(
    wish: Wish,
    document: Document,
    layer: Layer | None,
    name: str,
    array: np.ndarray,
    place: tuple[int, int],
    icc: bytes | None,
    notes: list[str],
) -> Source:
    source = Source(wish, document, layer, wish.name or name, array, *place, notes=notes)
    if icc is None:
        return source
    try:
        profile = ColorProfile(icc)
    except ProfileError as error:
        notes.append(f"Read as sRGB: {error}.")
        return source
    if profile.space == "GRAY":
        source.array = profile.to_srgb(array)
        if not profile.is_srgb:
            notes.append(f"The gray profile {profile.name!r} was converted to sRGB.")
        return source
    source.icc = icc
    if profile.is_srgb:
        return source
    source.profile = profile
    text = f"The colours were converted from {profile.name!r} to sRGB"
    exact = array.dtype == np.uint8 or profile.exact
    notes.append(text + ("." if exact else ", at 8 bits: the profile is a table."))
    return source


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
