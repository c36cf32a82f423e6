"""The device that a worker computes on, and how torch is set up there."""

from __future__ import annotations

import gc
import os
import random
import warnings
from dataclasses import dataclass

import numpy as np
import psutil
import torch

MEMORY_SHARE = 0.25
"""Share of main memory for loaded models, unless the settings say otherwise."""
DEVICE_SHARE = 0.5
"""Share of the graphics card's free memory for loaded models; the rest is for computing."""


@dataclass(frozen=True)
class Device:
    """What was chosen, and what people are told."""

    name: str
    """As torch calls it: ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``."""
    text: str
    """``"CPU, 2 cores"``, ``"NVIDIA H100 80GB HBM3"``."""


def choose_device(wanted: str = "auto") -> Device:
    """The fastest device there is, or the one that is asked for.

    Args:
        wanted: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``.

    Returns:
        The processor, with a remark in ``text``, where the wanted device is not there.
    """
    if wanted == "auto":
        wanted = "cuda" if _available("cuda") else "mps" if _available("mps") else "cpu"
    if wanted == "cpu":
        return Device("cpu", _processor())
    if not _available(wanted):
        return Device("cpu", f"{_processor()} ({wanted} is not available)")
    if wanted.startswith("cuda"):
        return Device(wanted, torch.cuda.get_device_name(wanted))
    return Device(wanted, "Apple GPU")


def prepare_torch() -> None:
    """Use every core and, where torch can, the same bits for the same job."""
    # cuBLAS reads this when its first handle is made
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(core_count())
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    # Some operators have no deterministic version on a GPU; they may run, and torch says so.
    # `torch.use_deterministic_algorithms` does the same, but loads the compiler: 2 s per worker.
    torch.set_deterministic_debug_mode("warn")
    torch.utils.deterministic.fill_uninitialized_memory = False  # pyright: ignore
    warnings.filterwarnings("ignore", message=".*does not have a deterministic implementation.*")


def seed_globals(seed: int) -> None:
    """Seed the global generators: ours are local, but a library may draw from these."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def core_count() -> int:
    """Physical cores that this process may use."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min(psutil.cpu_count(logical=False) or 1, allowed or 1))


def model_budget(device: Device, wanted_bytes: int = 0) -> int:
    """Bytes for loaded models: what the settings want, or a share of what the machine has."""
    if wanted_bytes:
        return wanted_bytes
    if device.name.startswith("cuda"):
        return int(torch.cuda.mem_get_info(device.name)[0] * DEVICE_SHARE)
    return int(psutil.virtual_memory().total * MEMORY_SHARE)


def free_memory(device: str) -> tuple[int, int]:
    """Free and total bytes of the memory that this device computes in."""
    if device.startswith("cuda"):
        return torch.cuda.mem_get_info(device)
    memory = psutil.virtual_memory()
    return memory.available, memory.total


def give_back_memory() -> None:
    """Return what torch keeps for later to the system."""
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def _available(name: str) -> bool:
    kind, _, index = name.partition(":")
    if kind == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        return index.isdigit() and int(index) < count if index else count > 0
    return kind == "mps" and torch.backends.mps.is_available()


def _processor() -> str:
    cores = core_count()
    return "CPU, 1 core" if cores == 1 else f"CPU, {cores} cores"
