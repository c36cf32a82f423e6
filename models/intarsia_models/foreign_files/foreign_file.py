"""One model file of another project, opened as data."""

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from intarsia_models.checkpoints import file_hash
from intarsia_models.errors import UnreadableModel
from intarsia_models.foreign_files import limits
from intarsia_models.foreign_files.numpy_files import read_numpy_archive
from intarsia_models.foreign_files.plain_data import PlainData
from intarsia_models.foreign_files.torch_files import (
    LEGACY_START,
    check_archive,
    read_plain_pickle,
    read_torch_archive,
    read_torch_legacy,
)

_FOLDER_CONFIG = "config.json"
_FOLDER_WEIGHTS = ("model.safetensors", "pytorch_model.safetensors", "pytorch_model.bin")
_DAMAGE = (
    ArithmeticError, AttributeError, EOFError, LookupError, MemoryError, NotImplementedError,
    OSError, RecursionError, RuntimeError, SafetensorError, TypeError, ValueError,
    zipfile.BadZipFile, zipfile.LargeZipFile,
)  # fmt: skip


@dataclass(frozen=True)
class ForeignFile:
    """What a model file of another project holds.

    Attributes:
        path: The file or folder.
        kind: ``npz``, ``torch``, ``nvidia-pickle``, ``safetensors`` or ``folder``.
        tensors: Every tensor on the CPU by its name: as in the file for npz (slashes) and state
            dicts; where containers are nested, their names joined with dots.
        tree: Everything else as numbers, strings, None, lists and dictionaries in the file's
            nesting, without the tensors. An object of a class is a dictionary with ``class``,
            ``state`` and, where the file has them, ``init_args`` and ``init_kwargs``. For a folder
            its ``config.json``.
        sha256: Of the file; of a folder's file of weights.
    """

    path: Path
    kind: str
    tensors: dict[str, Tensor]
    tree: Any
    sha256: str


def open_foreign(path: str | Path) -> ForeignFile:
    """Open a model file of another project; nothing of it runs.

    Args:
        path: A ``.npz`` of chainer, a file of ``torch.save`` (new or legacy), a network pickle of
            NVIDIA's StyleGAN2-ADA, a safetensors file, or a folder with ``config.json`` and
            ``pytorch_model.bin`` or ``model.safetensors``. The bytes decide, not the name.

    Raises:
        UnreadableModel: It is missing, of another kind, damaged, cut off, or asks for more than to
            be read; the sentence says which.
    """
    place = Path(path)
    if place.is_dir():
        return _open_folder(place)
    if not place.is_file():
        raise UnreadableModel(f"{place} does not exist.", "Check the path.")
    size = place.stat().st_size
    if size > limits.FILE_BYTES:
        raise UnreadableModel(f"{place.name} has {size:,} bytes; {limits.FILE_BYTES:,} are read.")
    try:
        kind, tensors, tree = _read(place, size)
        return ForeignFile(place, kind, tensors, tree, file_hash(place))
    except UnreadableModel as error:
        what = error.what if place.name in error.what else f"{place.name}: {error.what}"
        raise UnreadableModel(what, error.remedy) from error
    except _DAMAGE as error:
        raise UnreadableModel(
            f"{place.name} is damaged or cut off ({str(error)[:200] or type(error).__name__}).",
            "Download or copy it again.",
        ) from error


def _read(place: Path, size: int) -> tuple[str, dict[str, Tensor], Any]:
    with place.open("rb") as stream:
        start = stream.read(64)
        stream.seek(0)
        if start[:2] == b"PK":
            return _read_archive(place, size)
        if start[2 : 2 + len(LEGACY_START)] == LEGACY_START:
            return "torch", *_plain(read_torch_legacy(stream, size), size)
        if start[:1] == b"\x80":
            return _read_pickle(stream, place, size)
    if _is_safetensors(start, size):
        return "safetensors", load_file(place), {}
    raise UnreadableModel(f"{place.name} {_what_instead(start)}", "Give the file of the weights.")


def _read_archive(place: Path, size: int) -> tuple[str, dict[str, Tensor], Any]:
    with zipfile.ZipFile(place) as archive:
        check_archive(archive, place.name, size)
        names = archive.namelist()
        if names and all(name.endswith(".npy") for name in names):
            return "npz", *read_numpy_archive(archive)
        return "torch", *_plain(read_torch_archive(archive, place), size)


def _read_pickle(stream: IO[bytes], place: Path, size: int) -> tuple[str, dict[str, Tensor], Any]:
    tensors, tree = _plain(read_plain_pickle(stream, size), size)
    if "dnnlib.tflib.network.Network" in json.dumps(tree, default=str)[:1_000_000]:
        raise UnreadableModel(
            f"{place.name} is a network of NVIDIA's TensorFlow code.",
            "Convert it with rosinality's convert_weight.py or NVIDIA's legacy.py first.",
        )
    networks = tree if isinstance(tree, dict) else {}
    if not any(isinstance(v, dict) and "init_kwargs" in v for v in networks.values()):
        raise UnreadableModel(f"{place.name} is a pickle, but no network snapshot of NVIDIA's.")
    return "nvidia-pickle", tensors, tree


def _plain(value: Any, size: int) -> tuple[dict[str, Tensor], Any]:
    data = PlainData(size)
    tree = data.take(value)
    return data.tensors, tree


def _open_folder(folder: Path) -> ForeignFile:
    weights = next((folder / n for n in _FOLDER_WEIGHTS if (folder / n).is_file()), None)
    config = folder / _FOLDER_CONFIG
    if weights is None or not config.is_file():
        raise UnreadableModel(
            f"{folder} holds no model: it needs {_FOLDER_CONFIG} and one of "
            f"{', '.join(_FOLDER_WEIGHTS)}."
        )
    try:
        if config.stat().st_size > 1 << 20:
            raise ValueError("it has more than a megabyte")
        tree = json.loads(config.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UnreadableModel(f"{config} cannot be read ({error}).") from error
    inside = open_foreign(weights)
    return ForeignFile(folder, "folder", inside.tensors, tree, inside.sha256)


def _is_safetensors(start: bytes, size: int) -> bool:
    return len(start) > 9 and start[8:9] == b"{" and int.from_bytes(start[:8], "little") < size


def _what_instead(start: bytes) -> str:
    if not start:
        return "is empty."
    if start.lstrip()[:1] == b"<":
        return "is a web page, not a model; the download went wrong."
    if start[:4] == b"\x89HDF":
        return "is an HDF5 file, which no family here is published in."
    return "is no kind of model file that is read here (npz, torch, NVIDIA pickle, safetensors)."
