"""Tensors as a pickle describes them: a window on bytes that may come later in the file."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from intarsia_models.foreign_files import limits

STORAGE_DTYPES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
    "UntypedStorage": torch.uint8,
}


@dataclass
class Storage:
    """A run of numbers of a file.

    Attributes:
        dtype: Of its numbers.
        count: How many it has.
        read: Gives its bytes; called at most once.
    """

    dtype: torch.dtype
    count: int
    read: Callable[[], bytes | bytearray]
    _bytes: bytearray | None = field(default=None, repr=False)

    @property
    def nbytes(self) -> int:
        return self.count * self.dtype.itemsize

    def content(self) -> bytearray:
        """Its bytes.

        Raises:
            ValueError: The file has fewer.
        """
        if self._bytes is None:
            data = self.read()
            if len(data) < self.nbytes:
                raise ValueError(f"{len(data):,} of {self.nbytes:,} bytes of a tensor are there")
            self._bytes = bytearray(memoryview(data)[: self.nbytes])
        return self._bytes


@dataclass(frozen=True)
class StoredTensor:
    """Which numbers of a storage a tensor is.

    Attributes:
        storage: Where its numbers are.
        offset: Of its first number, in numbers.
        shape: Its sizes.
        stride: In numbers; all zero or more.
        dtype: Of its numbers, where it differs from the storage's.
    """

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: torch.dtype | None = None

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * (self.dtype or self.storage.dtype).itemsize

    def tensor(self) -> Tensor:
        """The tensor itself; tensors of one storage share its memory.

        Raises:
            ValueError: It reaches outside its storage, or the file is cut off.
        """
        dtype = self.dtype or self.storage.dtype
        content = self.storage.content()
        available = len(content) // dtype.itemsize
        numbers = math.prod(self.shape)
        pairs = zip(self.shape, self.stride, strict=True)
        last = self.offset + sum((size - 1) * stride for size, stride in pairs)
        if numbers and last >= available:
            raise ValueError(f"a tensor ends at number {last:,} of {available:,}")
        if numbers > max(available, 1 << 16):
            raise ValueError(f"a tensor of {numbers:,} numbers repeats {available:,}")
        if not numbers:
            return torch.empty(self.shape, dtype=dtype)
        as_read = torch.uint8 if dtype == torch.bool else dtype
        flat = torch.frombuffer(content, dtype=as_read, count=available)
        window = torch.as_strided(flat, self.shape, self.stride, self.offset)
        return window != 0 if dtype == torch.bool else window


def whole_numbers(values: Any) -> tuple[int, ...]:
    """Sizes or strides from a file.

    Raises:
        ValueError: They are not a short list of numbers that are zero or more.
    """
    if not isinstance(values, tuple | list) or len(values) > 16:
        raise ValueError("the sizes of a tensor are no short list")
    return tuple(whole_number(value) for value in values)


def whole_number(value: Any) -> int:
    """A size, count or offset from a file.

    Raises:
        ValueError: It is no number from zero up to what a file could hold.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("a size that is no whole number")
    if not 0 <= value <= limits.FILE_BYTES:
        raise ValueError("a size that no file could hold")
    return value
