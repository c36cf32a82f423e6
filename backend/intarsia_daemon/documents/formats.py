"""Which format a file has (by its first bytes, not by its name), and its reader."""

from __future__ import annotations

from intarsia_daemon.documents.containers import Container
from intarsia_daemon.documents.document import Document, single_layer
from intarsia_daemon.documents.limits import reject

LAYERED = (".ora", ".kra", ".psd", ".psb")
FLAT = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp")
SUFFIXES = FLAT + LAYERED
"""File names that are taken for pictures when a folder is given."""


def parse(data: bytes, name: str) -> Document:
    """Read a file's bytes; call it in the parser child only.

    Args:
        data: The whole file.
        name: What the only layer of a flat picture is called.

    Raises:
        FileRejected: The format is unknown, or the file is broken or asks for too much.
    """
    if data[:4] == b"8BPS":
        from intarsia_daemon.documents import photoshop

        return photoshop.read(data)
    if data[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return _parse_container(data)
    if data[:9] == b"gimp xcf ":
        raise reject(
            "This is one of GIMP's own documents (.xcf), which are not read.",
            remedy="Export it from GIMP as OpenRaster (.ora) or Photoshop (.psd).",
        )
    from intarsia_daemon.documents import pictures

    picture = pictures.decode(data)
    document = single_layer(name, picture.array, picture.icc)
    document.notes = picture.notes
    return document


def _parse_container(data: bytes) -> Document:
    from intarsia_daemon.documents import krita_file, openraster

    container = Container(data)
    kind = container.read("mimetype", 200).strip() if "mimetype" in container else b""
    if kind == krita_file.MIMETYPE or (not kind and "maindoc.xml" in container):
        return krita_file.read(container)
    if kind == openraster.MIMETYPE or (not kind and "stack.xml" in container):
        return openraster.read(container)
    raise reject(
        f"The zip container is neither OpenRaster nor Krita (it says {kind[:60]!r}).",
        remedy="Use .ora, .kra, .psd or a flat picture.",
    )
