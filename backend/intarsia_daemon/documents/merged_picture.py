"""The flat picture that OpenRaster and Krita files carry beside their layers."""

from __future__ import annotations

from intarsia_daemon.documents import pictures
from intarsia_daemon.documents.containers import Container
from intarsia_daemon.documents.document import Document
from intarsia_daemon.documents.limits import FileRejected

NAME = "mergedimage.png"


def read_merged(container: Container, document: Document) -> None:
    """Put the stored flat picture into the document; a missing or broken one is left out."""
    if NAME not in container:
        return
    try:
        merged = pictures.decode(container.read(NAME))
    except FileRejected:
        document.notes.append("The flat picture stored in the file is broken and was left out.")
        return
    if merged.array.shape[:2] == (document.height, document.width):
        document.merged, document.merged_icc = merged.array, merged.icc
