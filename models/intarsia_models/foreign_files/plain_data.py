"""From a pickle's values to named tensors and plain nested data."""

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from intarsia_models.errors import UnreadableModel
from intarsia_models.foreign_files import limits
from intarsia_models.foreign_files.known_calls import NumpyArray, NumpyDtype, PersistentObject
from intarsia_models.foreign_files.pickle_machine import InertObject, Symbol
from intarsia_models.foreign_files.stored_tensors import Storage, StoredTensor

_MODULE_PARTS = ("_parameters", "_buffers", "_modules")


@dataclass
class PlainData:
    """Collects what a file holds.

    Attributes:
        available: Bytes of the file; its tensors may not claim much more.
        tensors: By the names of the containers on the way, joined with dots; the parameters,
            buffers and modules of a saved module without the words that torch puts between.
    """

    available: int
    tensors: dict[str, Tensor] = field(default_factory=dict)
    _nodes: int = 0
    _bytes: int = 0
    _storages: dict[int, Storage] = field(default_factory=dict)

    def take(self, value: Any, path: tuple[str, ...] = ()) -> Any:
        """The plain form of a value; its tensors go to `tensors` and are left out.

        Returns:
            Numbers, strings, None, lists and dictionaries. An object of a class is a dictionary
            with ``class``, its ``state`` and, where known, ``init_args`` and ``init_kwargs``; a
            class or function is its name.

        Raises:
            UnreadableModel: There is far more, or far deeper, than a model has.
            ValueError: A tensor is damaged.
        """
        self._nodes += 1
        if self._nodes > limits.PLAIN_NODES or len(path) > limits.DEPTH:
            raise UnreadableModel(
                "It is nested deeper or holds more than any model; it is refused."
            )
        if value is None or isinstance(value, bool | int | float | str):
            return value
        if isinstance(value, bytes | bytearray):
            return {"bytes": len(value)}
        if isinstance(value, StoredTensor):
            return self._take_tensor(value, path)
        if isinstance(value, NumpyArray):
            return None if value.stored is None else self._take_tensor(value.stored, path)
        if isinstance(value, Symbol):
            return value.name
        if isinstance(value, NumpyDtype):
            return value.code
        if isinstance(value, Storage):
            return {"numbers": value.count}
        if isinstance(value, dict):
            return self._take_dictionary(value, path)
        if isinstance(value, list | tuple | set | frozenset):
            items = [(place, self.take(v, (*path, str(place)))) for place, v in enumerate(value)]
            return [item for place, item in items if not self._is_tensor(path, str(place))]
        return self._take_object(value, path)

    def _take_dictionary(self, values: dict[Any, Any], path: tuple[str, ...]) -> dict[str, Any]:
        taken = {}
        for key, value in values.items():
            name = key.name if isinstance(key, Symbol) else str(key)
            plain = self.take(value, (*path, name))
            if not self._is_tensor(path, name):
                taken[name] = plain
        return taken

    def _take_object(self, value: Any, path: tuple[str, ...]) -> dict[str, Any]:
        if isinstance(value, PersistentObject):
            return {
                "class": value.class_name,
                "init_args": self.take(value.init_args, (*path, "init_args")),
                "init_kwargs": self.take(value.init_kwargs, (*path, "init_kwargs")),
                "state": self._take_state(value.state, path),
            }
        if isinstance(value, InertObject):
            taken: dict[str, Any] = {"class": value.name}
            taken["state"] = self._take_state(value.state, path)
            for name, more in (("args", value.args), ("items", value.items)):
                if more:
                    taken[name] = self.take(more, (*path, name))
            if value.pairs:
                taken["pairs"] = self._take_dictionary(value.pairs, path)
            return taken
        raise ValueError(f"a value of the unknown kind {type(value).__name__}")

    def _take_state(self, state: Any, path: tuple[str, ...]) -> Any:
        """An object's attributes; those of a torch module keep the names of its state dict."""
        if not isinstance(state, dict):
            return self.take(state, path)
        parts = {part: state[part] for part in _MODULE_PARTS if isinstance(state.get(part), dict)}
        rest = {
            key: value
            for key, value in state.items()
            if key not in parts and key not in ("_init_args", "_init_kwargs")
        }
        taken = self._take_dictionary(rest, path)
        for part, values in parts.items():
            taken[part] = self._take_dictionary(values, path)
        return taken

    def _take_tensor(self, stored: StoredTensor, path: tuple[str, ...]) -> None:
        self._bytes += stored.nbytes
        if id(stored.storage) not in self._storages:
            self._storages[id(stored.storage)] = stored.storage
            self._bytes += stored.storage.nbytes
        limits.check_tensor_bytes(self._bytes, self.available)
        if len(self.tensors) >= limits.TENSORS:
            raise UnreadableModel(f"It holds more than {limits.TENSORS:,} tensors; it is refused.")
        self.tensors[".".join(path)] = stored.tensor()

    def _is_tensor(self, path: tuple[str, ...], name: str) -> bool:
        return ".".join((*path, name)) in self.tensors
