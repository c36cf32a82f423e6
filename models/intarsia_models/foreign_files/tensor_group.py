"""One network's tensors among those of a file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor

from intarsia_models.errors import UnreadableModel
from intarsia_models.foreign_files.foreign_file import ForeignFile


class TensorGroup:
    """The tensors whose names start with a prefix, by the rest of their names.

    Args:
        file: Where they are.
        prefix: Such as ``"g_ema."``; empty for all.
    """

    def __init__(self, file: ForeignFile, prefix: str) -> None:
        self.path = file.path
        self.tensors = {
            name.removeprefix(prefix): tensor
            for name, tensor in file.tensors.items()
            if name.startswith(prefix)
        }

    def __call__(self, name: str) -> Tensor:
        """A copy of one tensor, in float32.

        Raises:
            UnreadableModel: There is none of that name.
        """
        if name not in self.tensors:
            raise UnreadableModel(f"{self.path} has no tensor {name}.")
        return self.tensors[name].float().clone()

    def __contains__(self, name: object) -> bool:
        return name in self.tensors

    def count(self, pattern: str) -> int:
        """How many names fit a regular expression wholly."""
        return sum(re.fullmatch(pattern, name) is not None for name in self.tensors)


@contextmanager
def readable(file: ForeignFile) -> Iterator[None]:
    """Make whatever a strange file causes while its parts are put together a sentence.

    Raises:
        UnreadableModel: A name, shape or value is not as its family has it.
    """
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as e:
        why = f"{type(e).__name__}: {str(e)[:200]}"
        raise UnreadableModel(f"{file.path} is not laid out as its names promise ({why}).") from e
