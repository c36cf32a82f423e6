"""Parts of a compiled kernel's work on several threads."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any


def run_parts(run: Callable[..., None], parts: Sequence[tuple[Any, ...]], workers: int) -> None:
    """Call ``run(*part)`` for every part; this thread does its share.

    Args:
        run: Must let go of Python's lock, or nothing is gained.
        parts: They must not touch each other's results.
        workers: Threads, this one among them; usually ``torch.get_num_threads()``.
    """
    if workers == 1:
        for part in parts:
            run(*part)
        return
    own, given = parts[::workers], [part for n, part in enumerate(parts) if n % workers]
    waiting = [_pool(os.getpid(), workers).submit(run, *part) for part in given]
    for part in own:
        run(*part)
    for done in waiting:
        done.result()


@cache
def _pool(process: int, workers: int) -> ThreadPoolExecutor:
    """One for each process: after a fork the old one has no threads."""
    return ThreadPoolExecutor(workers - 1, thread_name_prefix="kernels")
