"""Smaller copies of the demo's layered pictures, for a quick look."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from intarsia_daemon.documents import openraster
from intarsia_daemon.documents.document import Document, Layer
from intarsia_daemon.documents.reading import read_document


def reduce_document(file: Path, side: int) -> bytes:
    """An OpenRaster document with every layer reduced by the same factor.

    Args:
        file: A layered picture of 8-bit layers without groups.
        side: Longest side of the reduced canvas in pixels.
    """
    document = read_document(file)
    factor = min(1.0, side / max(document.width, document.height))
    layers = [_reduced(layer, factor) for layer in document.layers]
    width, height = round(document.width * factor), round(document.height * factor)
    return openraster.write(Document(width, height, layers, icc=document.icc))


def _reduced(layer: Layer, factor: float) -> Layer:
    assert layer.array is not None
    height, width = (max(1, round(side * factor)) for side in layer.array.shape[:2])
    image = Image.fromarray(layer.array).resize((width, height), Image.Resampling.LANCZOS)
    array = np.asarray(image)
    return replace(layer, array=array, x=round(layer.x * factor), y=round(layer.y * factor))
