"""Poisson blending against OpenCV's seamlessClone, alternating in one run, and how exact ours is.

seamlessClone solves a boundary problem of its own (on the bounding rectangle), so it is a peer for
speed only.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from pyamg import ruge_stuben_solver
from scipy import sparse

from intarsia_models.blending import poisson_blend
from intarsia_models.blending.poisson import Gradients

MEGAPIXEL = 1024 * 1024
KINDS: dict[Gradients, int] = {"import": cv2.NORMAL_CLONE, "mixed": cv2.MIXED_CLONE}


def picture(size: int, seed: int) -> NDArray[np.uint8]:
    """Clouds with fine grain, (size, size, 3)."""
    rng = np.random.default_rng(seed)
    total = rng.normal(0, 6, (size, size, 3)).astype(np.float32)
    for cells, strength in ((4, 60), (16, 35), (128, 15)):
        noise = rng.standard_normal((cells, cells, 3)).astype(np.float32)
        total += strength * cv2.resize(noise, (size, size), interpolation=cv2.INTER_CUBIC)
    return np.clip(total + 128, 0, 255).astype(np.uint8)


def irregular_area(size: int, seed: int) -> NDArray[np.bool_]:
    """A ragged island with bays and satellites, about 40 percent of the picture, off its border."""
    rng = np.random.default_rng(seed)
    field = np.zeros((size, size), np.float32)
    for cells, weight in ((4, 1.0), (8, 0.6), (16, 0.35), (64, 0.12)):
        noise = rng.standard_normal((cells, cells)).astype(np.float32)
        field += weight * cv2.resize(noise, (size, size), interpolation=cv2.INTER_CUBIC)
    axis = np.linspace(-1, 1, size, dtype=np.float32)
    inside = field + 2.2 * (1 - 1.4 * np.hypot(axis[:, None], axis)) > 0
    inside[[0, 1, -2, -1]] = False
    inside[:, [0, 1, -2, -1]] = False
    return inside


def reference(
    source: NDArray[np.uint8], target: NDArray[np.uint8], inside: NDArray[np.bool_], gradients: str
) -> NDArray[np.float64]:
    """Eq. 7 of Pérez et al. 2003 in grey levels at the area's pixels, (N, 3): pyamg to 1e-12."""
    g, f = source.astype(np.float64), target.astype(np.float64)
    rows, columns = np.nonzero(inside)  # never at the picture's border here
    count = len(rows)
    number = np.full(inside.shape, -1, np.int32)
    number[inside] = np.arange(count)
    right = np.zeros((count, 3))
    links = []
    for down, across in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        r, c = rows + down, columns + across
        own, other = g[rows, columns] - g[r, c], f[rows, columns] - f[r, c]
        if gradients == "mixed":
            own = np.where(np.abs(other) > np.abs(own), other, own)
        right += own
        unknown = number[r, c] >= 0
        right[~unknown] += f[r, c][~unknown]
        links.append((np.flatnonzero(unknown), number[r, c][unknown]))
    i, j = (np.concatenate(part) for part in zip(*links, strict=True))
    ones = np.ones(len(i))
    matrix = sparse.csr_matrix((-ones, (i, j)), shape=(count, count)) + sparse.identity(count) * 4.0
    hierarchy = ruge_stuben_solver(sparse.csr_matrix(matrix))
    start = f[inside]
    solved = [
        np.asarray(hierarchy.solve(right[:, k], x0=start[:, k], tol=1e-12, accel="cg", maxiter=100))
        for k in range(3)
    ]
    return np.stack(solved, axis=1)


def timed(call: Callable[[], object]) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def measure(megapixels: float, repeats: int, check: bool) -> list[dict[str, object]]:
    """One row per kind of gradients."""
    size = round((megapixels * MEGAPIXEL) ** 0.5)
    source, target, inside = picture(size, 1), picture(size, 2), irregular_area(size, 0)
    selection = inside.astype(np.uint8) * 255
    x, y, width, height = cv2.boundingRect(selection)
    centre = (x + width // 2, y + height // 2)
    g, f = (
        torch.from_numpy(a).permute(2, 0, 1)[None].float() / 127.5 - 1 for a in (source, target)
    )
    edit_mask = torch.from_numpy(inside)[None, None].float()
    rows = []
    for gradients, kind in KINDS.items():

        def ours(gradients: Gradients = gradients) -> torch.Tensor:
            return poisson_blend(g, f, edit_mask, gradients=gradients)

        def peer(kind: int = kind) -> object:
            # a copy: OpenCV 5.0 writes into the caller's mask
            return cv2.seamlessClone(source, target, selection.copy(), centre, kind)

        result = ours()
        peer()
        pairs = [(timed(ours), timed(peer)) for _ in range(repeats)]
        row: dict[str, object] = {
            "megapixels": megapixels,
            "gradients": gradients,
            "area_pixels": int(inside.sum()),
            "ours_s": statistics.median(pair[0] for pair in pairs),
            "seamless_clone_s": statistics.median(pair[1] for pair in pairs),
            "ratio": statistics.median(pair[0] / pair[1] for pair in pairs),
            "peak_memory_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        }
        if check:
            start = time.perf_counter()
            wanted = reference(source, target, inside, gradients)
            row["reference_s"] = time.perf_counter() - start
            got = (result[0, :, torch.from_numpy(inside)].double().numpy().T + 1) * 127.5
            row["max_error_grey_levels"] = float(np.abs(got - wanted).max())
        rows.append(row)
    return rows


def main() -> None:
    """Print a table, or one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megapixels", type=float, nargs="+", default=[0.25, 1.0, 4.0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--no-check", action="store_true", help="skip the slow exact reference")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    results = []
    for megapixels in arguments.megapixels:
        for row in measure(megapixels, arguments.repeats, not arguments.no_check):
            results.append(row)
            if not arguments.json:
                print("  ".join(f"{key} {_short(value)}" for key, value in row.items()), flush=True)
    if arguments.json:
        machine = {"cores": os.cpu_count(), "threads": torch.get_num_threads()}
        versions = {"opencv": cv2.__version__, "torch": torch.__version__, "python": sys.version}
        print(json.dumps({"machine": machine, "versions": versions, "results": results}, indent=2))


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
