"""Archives of numpy arrays (``.npz``), as chainer writes its models."""

import math
import zipfile
from typing import Any

import numpy as np
import torch
from torch import Tensor

from intarsia_models.errors import UnreadableModel
from intarsia_models.foreign_files import limits

_ROOM_FOR_HEADER = 1 << 16


def read_numpy_archive(archive: zipfile.ZipFile) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The arrays of an archive by their names.

    Returns:
        The arrays of numbers as tensors; and what else there is: texts, and under ``skipped`` the
        names of entries that hold Python objects (chainer writes those for values never set),
        which are never read.

    Raises:
        UnreadableModel: An array is larger than its bytes.
        ValueError, KeyError: It is damaged.
    """
    tensors: dict[str, Tensor] = {}
    rest: dict[str, Any] = {"skipped": []}
    for member in archive.infolist():
        name = member.filename.removesuffix(".npy")
        if len(tensors) >= limits.TENSORS:
            raise UnreadableModel(f"It holds more than {limits.TENSORS:,} arrays; it is refused.")
        with archive.open(member) as stream:
            version = np.lib.format.read_magic(stream)
            read = {
                (1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0,
            }.get(version)
            if read is None:
                raise ValueError(f"an array in version {version} of numpy's format")
            shape, fortran, dtype = read(stream)
            if dtype.hasobject:
                rest["skipped"].append(name)
                continue
            size = math.prod(shape) * dtype.itemsize
            if min(shape, default=0) < 0 or size + stream.tell() != member.file_size:
                raise ValueError(f"the array {name[:60]!r} has another size than it states")
            content = bytearray(stream.read())
        if len(content) != size:
            raise ValueError(f"the array {name[:60]!r} is cut off")
        flat = np.frombuffer(content, dtype=dtype)
        array = flat.reshape(shape, order="F" if fortran else "C")
        if dtype.kind in "US":
            rest[name] = array.tolist()
        else:
            tensors[name] = _tensor(array, name)
    return tensors, rest


def _tensor(array: np.ndarray, name: str) -> Tensor:
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
        raise ValueError(f"the array {name[:60]!r} holds {array.dtype}, not plain numbers")
    native = np.array(array, dtype=array.dtype.newbyteorder("="), order="C")
    return torch.from_numpy(native)
