"""The calls in pickles of models that have a meaning for us: tensors, arrays, containers and
NVIDIA's persistent objects. Each gives a plain value; none is a function of the library it names.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from intarsia_models.errors import UnreadableModel
from intarsia_models.foreign_files.pickle_machine import Call, InertObject, Symbol, checked_key
from intarsia_models.foreign_files.stored_tensors import (
    STORAGE_DTYPES,
    Storage,
    StoredTensor,
    whole_number,
    whole_numbers,
)

_NUMPY_DTYPES = {
    "f2": torch.float16, "f4": torch.float32, "f8": torch.float64, "b1": torch.bool,
    "i1": torch.int8, "i2": torch.int16, "i4": torch.int32, "i8": torch.int64,
    "u1": torch.uint8, "u2": torch.uint16, "u4": torch.uint32, "u8": torch.uint64,
}  # fmt: skip
_HARMLESS_CLASSES = ("argparse.Namespace", "builtins.complex", "torch.nn.parameter.Parameter")
_HARMLESS_MODULES = ("torch.nn.modules.", "pathlib.", "torch.optim.")


@dataclass(frozen=True)
class PersistentObject:
    """An object of NVIDIA's ``torch_utils.persistence``; its source text is not kept.

    Attributes:
        class_name: As in the file, such as ``SynthesisBlock``.
        state: Its attributes.
        init_args: Positional arguments it was made with.
        init_kwargs: Named arguments it was made with.
    """

    class_name: str
    state: dict[Any, Any]
    init_args: tuple[Any, ...]
    init_kwargs: dict[Any, Any]


@dataclass
class NumpyDtype:
    """A numpy dtype of plain numbers, little endian."""

    code: str

    def take_state(self, state: Any) -> None:
        """Its byte order.

        Raises:
            ValueError: Its numbers are big endian or not plain.
        """
        if not isinstance(state, tuple) or len(state) < 2 or state[1] not in ("<", "|", "="):
            raise ValueError("an array that is not little endian")


@dataclass
class NumpyArray:
    """A numpy array, once its state has come."""

    stored: StoredTensor | None = None

    def take_state(self, state: Any) -> None:
        """(version, shape, dtype, whether Fortran ordered, bytes) as numpy writes them.

        Raises:
            ValueError: They are something else.
        """
        _, shape, dtype, fortran, content = state
        if not (isinstance(dtype, NumpyDtype) and isinstance(content, bytes | bytearray | str)):
            raise ValueError("an array of something else than numbers")
        data = content.encode("latin-1") if isinstance(content, str) else bytes(content)
        sizes = whole_numbers(shape)
        kind = _NUMPY_DTYPES[dtype.code]
        stride = _contiguous(sizes[::-1])[::-1] if fortran else _contiguous(sizes)
        storage = Storage(kind, math.prod(sizes), lambda: data)
        self.stored = StoredTensor(storage, 0, sizes, stride)


def may_be_object(name: str) -> bool:
    """Whether a call of this class is kept as an inert object instead of being refused."""
    return name in _HARMLESS_CLASSES or name.startswith(_HARMLESS_MODULES)


def known_calls(load_nested: Callable[[bytes], Any]) -> Mapping[str, Call]:
    """What to make of each call, by dotted name.

    Args:
        load_nested: Reads the bytes of a whole torch file inside the pickle.
    """
    table: dict[str, Call] = {
        "collections.OrderedDict": _dictionary,
        "collections.defaultdict": lambda args: _dictionary(args[1:]),
        "dnnlib.util.EasyDict": _dictionary,
        "dnnlib.EasyDict": _dictionary,
        "builtins.dict": _dictionary,
        "builtins.list": lambda args: list(args[0]) if args else [],
        "builtins.set": lambda args: {checked_key(key) for key in (args[0] if args else ())},
        "builtins.bytearray": lambda args: args[0] if args else b"",
        "torch.Size": lambda args: whole_numbers(args[0]),
        "torch.device": lambda args: str(args[0]),
        "_codecs.encode": _encoded,
        "copyreg._reconstructor": _reconstructed,
        "torch._utils._rebuild_tensor": _rebuilt_tensor,
        "torch._utils._rebuild_tensor_v2": _rebuilt_tensor,
        "torch._utils._rebuild_tensor_v3": _rebuilt_typed_tensor,
        "torch._utils._rebuild_parameter": lambda args: _as_tensor(args[0]),
        "torch._utils._rebuild_parameter_with_state": lambda args: _as_tensor(args[0]),
        "torch.storage._load_from_bytes": lambda args: load_nested(_as_bytes(args[0])),
        "torch_utils.persistence._reconstruct_persistent_obj": _persistent_object,
        "numpy.dtype": _numpy_dtype,
    }
    for core in ("numpy.core.multiarray", "numpy._core.multiarray"):
        table[f"{core}.scalar"] = _numpy_scalar
        table[f"{core}._reconstruct"] = lambda args: NumpyArray()
    python2 = {"builtins.": "__builtin__.", "copyreg.": "copy_reg."}
    for new, old in python2.items():
        table |= {name.replace(new, old): call for name, call in table.items() if new in name}
    return table


def storage_from_id(persistent_id: Any, read: Callable[[str], bytes | bytearray]) -> Any:
    """What torch's persistent id stands for: a storage, or a module's class with its source.

    Args:
        persistent_id: ("storage", type, key, device, count, ...) or ("module", class, ...).
        read: Gives the bytes of a storage by its key.

    Raises:
        UnreadableModel: It is something else.
    """
    if not isinstance(persistent_id, tuple) or len(persistent_id) < 2:
        raise UnreadableModel("It refers to data outside of itself; it is refused.")
    if persistent_id[0] == "module" and isinstance(persistent_id[1], Symbol):
        return persistent_id[1]
    kind, symbol, key, _, count = persistent_id[:5]
    if kind != "storage" or not isinstance(symbol, Symbol) or not isinstance(key, str):
        raise UnreadableModel("It refers to data outside of itself; it is refused.")
    if len(persistent_id) > 5 and persistent_id[5] is not None:
        raise ValueError("a storage that is part of another one, as torch wrote before 2018")
    dtype = STORAGE_DTYPES.get(symbol.name.rpartition(".")[2])
    if dtype is None or not symbol.name.startswith("torch."):
        raise ValueError(f"numbers of an unknown kind ({symbol.name[:60]})")
    return Storage(dtype, whole_number(count), lambda: read(key))


def _dictionary(args: tuple[Any, ...]) -> dict[Any, Any]:
    if not args:
        return {}
    pairs = args[0].items() if isinstance(args[0], dict) else args[0]
    return {checked_key(key): value for key, value in pairs}


def _encoded(args: tuple[Any, ...]) -> bytes:
    text, encoding = args
    if not isinstance(text, str) or encoding != "latin1":
        raise ValueError("bytes in an unknown spelling")
    return text.encode("latin-1")


def _reconstructed(args: tuple[Any, ...]) -> InertObject:
    if not isinstance(args[0], Symbol):
        raise ValueError("an object of something that is no class")
    return InertObject(args[0].name)


def _rebuilt_tensor(args: tuple[Any, ...]) -> StoredTensor:
    storage, offset, shape, stride = args[:4]
    if not isinstance(storage, Storage):
        raise ValueError("a tensor without a storage")
    return StoredTensor(storage, whole_number(offset), whole_numbers(shape), whole_numbers(stride))


def _rebuilt_typed_tensor(args: tuple[Any, ...]) -> StoredTensor:
    plain = _rebuilt_tensor(args)
    name = args[6].name if isinstance(args[6], Symbol) else ""
    dtype = getattr(torch, name.removeprefix("torch."), None) if name.count(".") == 1 else None
    if not isinstance(dtype, torch.dtype):
        raise ValueError("a tensor of an unknown type")
    return StoredTensor(plain.storage, plain.offset, plain.shape, plain.stride, dtype)


def _as_tensor(value: Any) -> Any:
    if isinstance(value, StoredTensor):
        return value
    raise ValueError("a parameter that is no tensor")


def _as_bytes(value: Any) -> bytes:
    if isinstance(value, bytes | bytearray):
        return bytes(value)
    raise ValueError("a nested file that is no run of bytes")


def _persistent_object(args: tuple[Any, ...]) -> PersistentObject:
    (meta,) = args
    if meta.get("type") != "class" or not isinstance(meta.get("class_name"), str):
        raise ValueError("a persistent object of an unknown kind")
    state = meta.get("state")
    if not isinstance(state, dict):
        raise ValueError("a persistent object without a state")
    init_args, init_kwargs = state.get("_init_args", ()), state.get("_init_kwargs", {})
    if not (isinstance(init_args, tuple | list) and isinstance(init_kwargs, dict)):
        raise ValueError("a persistent object whose arguments are none")
    return PersistentObject(meta["class_name"], state, tuple(init_args), init_kwargs)


def _numpy_dtype(args: tuple[Any, ...]) -> NumpyDtype:
    if args[0] not in _NUMPY_DTYPES:
        raise ValueError("an array of something else than numbers")
    return NumpyDtype(args[0])


def _numpy_scalar(args: tuple[Any, ...]) -> Any:
    dtype, content = args
    if not isinstance(dtype, NumpyDtype):
        raise ValueError("a number of an unknown type")
    data = content.encode("latin-1") if isinstance(content, str) else _as_bytes(content)
    return (
        StoredTensor(Storage(_NUMPY_DTYPES[dtype.code], 1, lambda: data), 0, (), ()).tensor().item()
    )


def _contiguous(sizes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(math.prod(sizes[place + 1 :]) for place in range(len(sizes)))
