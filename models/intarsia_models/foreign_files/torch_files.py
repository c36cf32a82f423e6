"""The two layouts of ``torch.save``: a zip archive, and a row of pickles followed by the numbers.

``torch.load(weights_only=True)`` refuses a whole file for one harmless object beside the weights
(training arguments, an activation), and trusts the sizes the file states; this reader takes the
weights of such files and checks every size against the bytes that are there.
"""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from intarsia_models.errors import UnreadableModel
from intarsia_models.foreign_files import limits
from intarsia_models.foreign_files.known_calls import known_calls, may_be_object, storage_from_id
from intarsia_models.foreign_files.pickle_machine import PickleMachine
from intarsia_models.foreign_files.stored_tensors import Storage, whole_number

_MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
LEGACY_START = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""The magic number as every legacy file starts, after the pickle's two bytes of protocol."""


def read_torch_archive(archive: zipfile.ZipFile, path: Path) -> Any:
    """The value of a torch zip archive, with `StoredTensor` where tensors are.

    Raises:
        UnreadableModel: It is no such archive, or asks for more than reading.
    """
    names = [name for name in archive.namelist() if name.rpartition("/")[2] == "data.pkl"]
    if len(names) != 1:
        raise UnreadableModel(f"{path.name} is a zip file without a torch model in it.")
    root = names[0].removesuffix("data.pkl")
    members = set(archive.namelist())
    if f"{root}constants.pkl" in members:
        raise UnreadableModel(
            f"{path.name} is a TorchScript program, not a file of weights.",
            "Save the network's state_dict() instead.",
        )
    order = f"{root}byteorder"
    if order in members and archive.read(order) != b"little":
        raise UnreadableModel(f"{path.name} was written on a big-endian machine.")

    def read(key: str) -> bytes:
        return archive.read(f"{root}data/{key}")

    pickled = archive.read(names[0])
    return _machine(len(pickled), _Storages(read)).run(io.BytesIO(pickled))


class _Storages:
    """The storages of one file: one for each key, however many tensors refer to it."""

    def __init__(self, read: Callable[[str], bytes]) -> None:
        self._read = read
        self.known: dict[str, Storage] = {}

    def __call__(self, persistent_id: Any) -> Any:
        found = storage_from_id(persistent_id, self._read)
        if not isinstance(found, Storage):
            return found
        known = self.known.setdefault(persistent_id[2], found)
        if (known.dtype, known.count) != (found.dtype, found.count):
            raise ValueError("one storage with two sizes")
        return known


def read_torch_legacy(stream: IO[bytes], size: int) -> Any:
    """The value of a file of ``torch.save`` before torch 1.6, from the stream's position.

    Args:
        stream: Stands at the start of the file.
        size: Bytes of the file.

    Raises:
        UnreadableModel: It asks for more than reading.
        ValueError: It is damaged or cut off.
    """
    plain = _machine(size)
    if plain.run(stream) != _MAGIC_NUMBER or plain.run(stream) != _PROTOCOL:
        raise ValueError("no torch file")
    system = plain.run(stream)
    if not isinstance(system, dict) or not system.get("little_endian", True):
        raise ValueError("written on a big-endian machine")
    contents: dict[str, bytes] = {}
    storages = _Storages(contents.__getitem__)
    value = _machine(size, storages).run(stream)
    keys = plain.run(stream)
    if not isinstance(keys, list):
        raise ValueError("no list of storages")
    for key in keys:
        storage = storages.known[key]
        if whole_number(int.from_bytes(stream.read(8), "little", signed=True)) != storage.count:
            raise ValueError("a storage of another size than stated")
        content = stream.read(storage.nbytes)
        if len(content) < storage.nbytes:
            raise ValueError("the file is cut off")
        contents[key] = content
    return value


def read_plain_pickle(stream: IO[bytes], size: int) -> Any:
    """The value of a pickle that is no torch file, such as NVIDIA's network snapshots.

    Args:
        stream: Stands at its start.
        size: Bytes of the file.

    Raises:
        UnreadableModel: It asks for more than reading.
    """
    return _machine(size).run(stream)


def _machine(size: int, persistent: Callable[[Any], Any] | None = None) -> PickleMachine:
    return PickleMachine(known_calls(_nested), may_be_object, size, persistent)


def _nested(content: bytes) -> Any:
    if content[2 : 2 + len(LEGACY_START)] != LEGACY_START:
        if content[:2] != b"PK":
            raise ValueError("a nested file that is no torch file")
        archive = zipfile.ZipFile(io.BytesIO(content))
        check_archive(archive, "A file inside it", len(content))
        return read_torch_archive(archive, Path("A file inside it"))
    return read_torch_legacy(io.BytesIO(content), len(content))


def check_archive(archive: zipfile.ZipFile, name: str, packed: int) -> None:
    """Refuse zip archives that unpack to far more than they are, or hold a name twice.

    Raises:
        UnreadableModel: So it is.
    """
    limits.check_unpacked(name, sum(i.file_size for i in archive.infolist()), packed)
    if len(archive.namelist()) != len(set(archive.namelist())):
        raise UnreadableModel(f"{name} holds two parts of the same name; it is refused.")
