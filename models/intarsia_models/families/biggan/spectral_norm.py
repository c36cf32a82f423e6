"""Spectral normalization as the public BigGAN files store it, divided out once.

In eval mode both public codes divide every weight by an estimate of its largest singular value that
depends on the file alone, so the quotient can be stored and the networks here have no spectral
norm. The estimate is not the exact singular value: an averaged (EMA) file also holds averaged
vectors, and pictures differ visibly from those made with the exact value.

Sources: Miyato et al. 2018, arXiv:1802.05957, section 2.1 and appendix A (one power iteration);
which vectors are stored, and that they stay as they are in eval mode: the two public formats.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor
from torch.nn.functional import normalize

LEFT = "u0"
"""ajbrock: the left singular vector's estimate, (1, rows), beside ``weight``."""
SINGULAR = "sv"
ORIGINAL, STORED_LEFT, STORED_RIGHT = "weight_orig", "weight_u", "weight_v"
"""torch.nn.utils.spectral_norm: the weight before division and both vectors."""


def after_one_iteration(weight: Tensor, u: Tensor) -> Tensor:
    """The weight over its singular value after one power iteration from the stored vector.

    Args:
        weight: (rows, ...), flattened to (rows, columns) for the norm.
        u: (1, rows) or (rows,).

    Returns:
        As ``weight``, float32.
    """
    matrix = weight.double().flatten(1)
    v = normalize(u.double().reshape(1, -1) @ matrix)
    left = normalize(v @ matrix.T)
    return _divided(weight, (v @ matrix.T @ left.T).squeeze())


def with_stored_vectors(weight: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """The weight over u W v, both vectors as stored, (rows,) and (columns,)."""
    return _divided(weight, u.double() @ (weight.double().flatten(1) @ v.double()))


def divided_out(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors in float32 without any spectral norm: weights divided, vectors left out."""
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        owner, _, last = name.rpartition(".")
        dot = f"{owner}." if owner else ""
        if last == "weight" and dot + LEFT in tensors:
            found[name] = after_one_iteration(tensor, tensors[dot + LEFT])
        elif last == ORIGINAL:
            u, v = tensors[dot + STORED_LEFT], tensors[dot + STORED_RIGHT]
            found[f"{dot}weight"] = with_stored_vectors(tensor, u, v)
        elif not _is_vector(last):
            found[name] = tensor.float() if tensor.is_floating_point() else tensor
    return found


def _is_vector(last: str) -> bool:
    numbered = last[:1] == "u" and last[1:].isdigit()
    return numbered or (last[:2] == SINGULAR and last[2:].isdigit()) or last.startswith("weight_")


def _divided(weight: Tensor, sigma: Tensor) -> Tensor:
    # A weight of zeros stays one (0/0 in the public code).
    return (weight.double() / sigma).float() if float(sigma) != 0.0 else weight.float()
