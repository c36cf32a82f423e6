"""What both readers of the ajbrock format need: finding state dicts, naming what is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from torch import Tensor

from intarsia_models.errors import UnreadableModel
from intarsia_models.foreign_files import ForeignFile

Tensors = Mapping[str, Tensor]

ATTENTION = {"theta": "query", "phi": "key", "g": "value", "o": "output"}


def subtrees(tensors: Tensors, keys: Sequence[str]) -> dict[str, dict[str, Tensor]]:
    """The state dicts in a file that have all these keys, by what stands before them.

    ``module.`` of DataParallel and the names of containers (``state_dict.``, ``G_ema.``) are such
    prefixes. Averaged weights come first.
    """
    ends = [name.removesuffix(keys[-1]) for name in tensors if name.endswith(keys[-1])]
    whole = [
        end
        for end in ends
        if (not end or end.endswith(".")) and all(end + key in tensors for key in keys)
    ]
    whole.sort(key=lambda end: ("ema" not in end.lower(), len(end)))
    return {
        end: {name[len(end) :]: t for name, t in tensors.items() if name.startswith(end)}
        for end in whole
    }


@contextmanager
def as_sentences(file: ForeignFile, what: str) -> Iterator[None]:
    """Turn what goes wrong with missing or misshapen tensors into `UnreadableModel`."""
    try:
        yield
    except UnreadableModel:
        raise
    except KeyError as error:
        raise UnreadableModel(
            f"{file.path.name} is no whole {what}: {error.args[0]} is missing.",
            "Download or export it again.",
        ) from error
    except (AttributeError, IndexError, RuntimeError, TypeError, ValueError) as error:
        raise UnreadableModel(
            f"{file.path.name} is no {what} that can be read: {error}.",
            "Its shapes do not fit together.",
        ) from error


def convolution(flat: Tensors, theirs: str, ours: str) -> dict[str, Tensor]:
    return {f"{ours}.{end}": flat[f"{theirs}.{end}"] for end in ("weight", "bias")}


def attention(flat: Tensors, theirs: str, ours: str) -> dict[str, Tensor]:
    found = {
        f"{ours}.{new}.weight": flat[f"{theirs}.{old}.weight"] for old, new in ATTENTION.items()
    }
    return {**found, f"{ours}.attention_gain": flat[f"{theirs}.gamma"].reshape(())}


def count_of(flat: Tensors, pattern: str) -> int:
    """How many numbers from 0 on the pattern has."""
    count = 0
    while pattern.format(count) in flat:
        count += 1
    if count == 0:
        raise KeyError(pattern.format(0))
    return count
