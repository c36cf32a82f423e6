"""The small picture that stands for a whole result in the strip of results."""

from __future__ import annotations

from typing import Any, Iterator, Sequence

from intarsia_client.arrangement import Animation, Group, Still, arranged, face
from intarsia_client.schema import ResultLayer
from intarsia_krita.pieces import canvas_pixmap, image, pixmap
from intarsia_krita.qt import QtCore, QtGui


def result_pixmap(layers: Sequence[ResultLayer], side: int) -> Any:
    """A picture of a result, at most ``side`` pixels a side.

    Of a group, or of a layer with a mask, it is what they show together; else the topmost layer.
    """
    found = arranged(layers)
    top = found[-1] if found else None
    if top is None or isinstance(top, Animation):
        return pixmap(face(layers), side)
    shown = list(_stills(top))
    if not shown or (len(shown) == 1 and shown[0].edge is None):
        return pixmap(face(layers), side)
    return _composed(layers, shown, side)


def _stills(item: Still | Animation | Group) -> Iterator[Still]:
    """Layers that lie over each other; of an animation in a group the first picture."""
    if isinstance(item, Group):
        for inner in item.items:
            yield from _stills(inner)
    elif isinstance(item, Animation):
        yield Still(item.numbers[0])
    else:
        yield item


def _composed(layers: Sequence[ResultLayer], shown: Sequence[Still], side: int) -> Any:
    rectangles = [
        QtCore.QRect(one.x, one.y, one.width, one.height)
        for one in (layers[item.number] for item in shown)
    ]
    whole = QtCore.QRect()
    for rectangle in rectangles:
        whole = whole.united(rectangle)
    scale = side / max(whole.width(), whole.height())
    canvas = canvas_pixmap(
        max(1, round(whole.width() * scale)), max(1, round(whole.height() * scale))
    )
    painter = QtGui.QPainter(canvas)
    painter.setRenderHint(QtGui.QPainter.RenderHint.SmoothPixmapTransform)
    for item, place in zip(shown, rectangles):
        target = QtCore.QRectF(
            (place.x() - whole.x()) * scale,
            (place.y() - whole.y()) * scale,
            place.width() * scale,
            place.height() * scale,
        )
        size = QtCore.QSize(max(1, round(target.width())), max(1, round(target.height())))
        picture = image(layers[item.number], size)
        if item.edge is not None:
            picture.setAlphaChannel(image(layers[item.edge], size))
        painter.drawImage(target, picture)
    painter.end()
    return canvas
