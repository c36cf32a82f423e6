"""Colour profiles: against LittleCMS, there and back, and what is recognised as sRGB."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import ImageCms
from tests.cli.sample_files import opaque, wide_profile

from intarsia_daemon.documents.color_profile import (
    ColorProfile,
    ProfileError,
    decode_srgb,
    encode_srgb,
)


def srgb_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def test_srgb_is_recognised_and_changes_nothing() -> None:
    profile, array = ColorProfile(srgb_profile()), opaque(4, 4, dtype="uint16")

    assert profile.is_srgb
    assert profile.to_srgb(array) is array


def test_16_bit_conversion_agrees_with_littlecms_at_8_bit() -> None:
    profile, array = ColorProfile(wide_profile()), opaque(32, 32)

    by_lcms = profile.to_srgb(array)
    deep = profile.to_srgb(array.astype(np.uint16) * 257)

    assert not profile.is_srgb
    assert np.abs(by_lcms.astype(int) - array).max() > 20, "the profile must change something"
    assert np.abs(deep / 257 - by_lcms).max() < 1.5


@pytest.mark.parametrize(("dtype", "tolerance"), [("uint8", 2), ("uint16", 4), ("float32", 1e-4)])
def test_what_fits_into_srgb_comes_back(dtype: str, tolerance: float) -> None:
    profile = ColorProfile(wide_profile())
    array = opaque(16, 16, dtype=dtype)
    full = 1 if dtype == "float32" else np.iinfo(dtype).max
    muted = (array[..., :3] * 0.2 + full * 0.4).astype(dtype)
    array[..., :3] = muted

    back = profile.from_srgb(profile.to_srgb(array))

    assert back.dtype == dtype
    assert np.abs(back.astype(float) - array).max() <= tolerance


def test_alpha_is_left_alone() -> None:
    array = opaque(4, 4, dtype="uint16")
    array[..., 3] = 12345

    assert (ColorProfile(wide_profile()).to_srgb(array)[..., 3] == 12345).all()


def test_srgb_curve_has_the_standards_numbers() -> None:
    # IEC 61966-2-1: linear 0.5 is 0.735357 encoded; the linear part ends at 0.0031308
    assert encode_srgb(np.array([0.0, 0.0031308, 0.5, 1.0])) == pytest.approx(
        [0.0, 0.04045, 0.735357, 1.0], abs=1e-5
    )
    values = np.linspace(0, 1, 100)
    assert encode_srgb(decode_srgb(values)) == pytest.approx(values, abs=1e-6)


@pytest.mark.parametrize("broken", [b"", b"no profile", srgb_profile()[:200]])
def test_broken_profiles_say_so(broken: bytes) -> None:
    with pytest.raises(ProfileError, match="broken"):
        ColorProfile(broken)


def test_other_spaces_are_refused() -> None:
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()

    with pytest.raises(ProfileError, match="of the space Lab"):
        ColorProfile(icc)
