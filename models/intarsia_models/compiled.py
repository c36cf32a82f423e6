"""Functions compiled by numba, kept on disk so that the next process need not do it again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba


def compiled(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """As ``numba.njit``, letting go of Python's lock, with NumPy's rules for errors.

    Where machine code cannot be kept (no place that may be written), it is made in every process.

    Args:
        function: What is decorated, without arguments.
        options: Further ones of ``numba.njit``.
    """
    if function is None:
        return lambda inner: compiled(inner, **options)
    options = {"nogil": True, "error_model": "numpy", **options}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:
        return numba.njit(**options)(function)
