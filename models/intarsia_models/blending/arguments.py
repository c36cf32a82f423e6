"""What all blends ask of their arguments."""

import math

from torch import Tensor


def check_pictures(source: Tensor, target: Tensor, edit_mask: Tensor) -> None:
    """Accept (B, 3, H, W) floats twice and a (B, 1, H, W) edit mask in [0, 1] on one device.

    Raises:
        ValueError: A shape, dtype, device or value does not fit; the text names it.
    """
    for name, picture in (("source", source), ("target", target)):
        if picture.ndim != 4 or picture.shape[1] != 3 or picture.numel() == 0:
            raise ValueError(f"{name} must be (B, 3, H, W), got shape {tuple(picture.shape)}.")
    if source.shape != target.shape:
        raise ValueError(
            "source and target must have the same shape, "
            f"got {tuple(source.shape)} and {tuple(target.shape)}."
        )
    wanted = (target.shape[0], 1, *target.shape[2:])
    if edit_mask.shape != wanted:
        raise ValueError(f"edit_mask must have shape {wanted}, got {tuple(edit_mask.shape)}.")
    for name, tensor in (("source", source), ("target", target), ("edit_mask", edit_mask)):
        if not tensor.is_floating_point():
            raise ValueError(f"{name} must hold floating-point numbers, got {tensor.dtype}.")
        if tensor.device != target.device:
            raise ValueError(
                f"{name} is on {tensor.device}, target on {target.device}; move one of them."
            )
        _check_values(name, tensor)


def _check_values(name: str, tensor: Tensor) -> None:
    low, high = (float(value) for value in tensor.aminmax())
    if not (math.isfinite(low) and math.isfinite(high)):
        bad = (~tensor.isfinite()).nonzero()
        value = float(tensor[tuple(bad[0])])
        raise ValueError(
            f"{name} must hold finite numbers; {len(bad)} are not, "
            f"the first is {value} at {tuple(bad[0].tolist())}."
        )
    if name == "edit_mask" and (low < 0 or high > 1):
        raise ValueError(f"edit_mask must lie in [0, 1], got values from {low:g} to {high:g}.")
