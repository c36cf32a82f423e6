"""Poisson's equation on a rectangle with free edges, by the fast cosine transform."""

import numpy as np
from numpy.typing import NDArray
from scipy import fft


def solve_on_rectangle(right_side: NDArray[np.floating]) -> NDArray[np.floating]:
    """Solve sum over the 4-neighbours q of (u_p - u_q) = right_side_p, neighbours inside the
    rectangle only.

    Args:
        right_side: (H, W) floats that sum to zero (a mean is ignored); may be overwritten.

    Returns:
        (H, W) of the same dtype, with mean zero. Exact up to rounding.

    Source: Swarztrauber 1977, "The methods of cyclic reduction, Fourier analysis and the FACR
    algorithm"; the DCT-II diagonalises the 5-point Laplacian whose edges have no outward links.
    """
    height, width = right_side.shape
    spectrum = np.asarray(fft.dctn(right_side, type=2, overwrite_x=True, workers=-1))
    rows, columns = (_eigenvalues(size).astype(right_side.dtype) for size in (height, width))
    for row, eigenvalue in zip(spectrum, rows, strict=True):
        divisor = columns + eigenvalue
        divisor[0] = divisor[0] or np.inf  # only the mean's eigenvalue is zero
        row /= divisor
    return np.asarray(fft.idctn(spectrum, type=2, overwrite_x=True, workers=-1))


def _eigenvalues(size: int) -> NDArray[np.float64]:
    """Of the 1-D operator, (size,) ascending: 4 sin^2(pi k / 2 size), free of cancellation."""
    return 4 * np.sin(np.pi * np.arange(size) / (2 * size)) ** 2
