"""Mosaics in tiles: equal to the whole picture, in bounded pieces, stopped and taken up again."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from intarsia_models.mosaic import stored_levels
from intarsia_models.mosaic.adjustment import Adjustment
from intarsia_models.mosaic.baselines import noise_area
from intarsia_models.mosaic.level_storage import LARGEST_HALF, StoredLevel
from intarsia_models.mosaic.model import MosaicModel, build_network
from intarsia_models.mosaic.networks import picture_norms
from intarsia_models.mosaic.rendering import Rendering, render, render_frames
from intarsia_models.mosaic.roll_out import RollOut
from intarsia_models.mosaic.settings import MosaicSettings
from intarsia_models.mosaic.streaming import Moments, norm_reach, own_statistics
from intarsia_models.mosaic.templates import PictureSource, TemplateCanvas, stacked
from intarsia_models.mosaic.tiles import Area, tile_plan

SIZE = (80, 72)
LEVEL = 1 / 127.5
"""One of 255 in [-1, 1]."""
STYLES: dict[str, dict[str, Any]] = {
    "guided": {},
    "unguided": {"guided": False},
    "induced": {"induced": 3, "norm_first": False},
    "flow": {"warp": "flow", "warp_reach": 5.0},
    "affine": {"warp": "affine", "warp_reach": 5.0},
    "parametric": {"style": "parametric", "noise_channels": 2},
    "fixed memory": {"style": "fixed_memory", "slots": 3},
    "without norms": {"norm": "none", "refinement": "direct"},
}


def lively_model(**changes: Any) -> MosaicModel:
    """Random weights large enough that everything matters, with norms that are not plain."""
    settings = MosaicSettings(**{"width": 4, "depth": 2, "heads": 2, "kernel": 5, **changes})
    network = build_network(settings, seed=None)
    source = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in network.parameters():
            spread = (2.0 / max(1, parameter[0].numel())) ** 0.5 if parameter.ndim > 1 else 0.3
            parameter.normal_(0.0, spread, generator=source)
    return MosaicModel(network)


def canvases(count: int = 3) -> list[TemplateCanvas]:
    source = torch.Generator().manual_seed(1)
    pictures = [
        torch.randint(0, 256, (3, 40, 30 + 7 * n), generator=source).byte() for n in range(3)
    ]
    return PictureSource(pictures).canvases(count, seed=2)


def content(size: tuple[int, int] = SIZE) -> Tensor:
    y, x = torch.meshgrid(
        torch.linspace(-1, 1, size[0]), torch.linspace(-1, 1, size[1]), indexing="ij"
    )
    return torch.stack([x, (y * 9).sin(), x * y])[None]


def wanted_content(model: MosaicModel) -> Tensor | None:
    return content() if model.settings.guided else None


def away(one: NDArray[Any] | None, other: NDArray[Any] | Tensor | None) -> float:
    assert one is not None and other is not None
    return float(np.abs(np.asarray(one, np.float64) - np.asarray(other, np.float64)).max())


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("tile", [16, 28])
@pytest.mark.parametrize("scratch_mb", [0, 100])
def test_tiles_are_the_whole_picture(
    style: str, tile: int, scratch_mb: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_levels, "NUMBERS_AT_ONCE", 1)  # areas as small as they can be
    model = lively_model(**STYLES[style])
    channels = model.settings.noise_channels
    noise = noise_area(0, channels, 0, 0, *SIZE) if channels else None
    whole = model.compose(wanted_content(model), stacked(canvases(), 0, 0, *SIZE), noise=noise)
    made = render(model, wanted_content(model), canvases(), SIZE, tile=tile, scratch_mb=scratch_mb)
    assert away(made.picture, whole.picture[0]) < LEVEL / 4
    assert away(made.collage, whole.collage[0]) < LEVEL / 4
    if whole.weights is not None:
        assert away(made.weights, whole.weights[0]) < 1e-3
    assert made.picture.shape == (3, *SIZE)


@pytest.mark.parametrize("kernel", [3, 5, 7])
@pytest.mark.parametrize("depth", [1, 3])
def test_levels_of_any_shape_fit_together(
    kernel: int, depth: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_levels, "NUMBERS_AT_ONCE", 1)
    model = lively_model(kernel=kernel, depth=depth)
    whole = model.compose(content(), stacked(canvases(), 0, 0, *SIZE))
    made = render(model, content(), canvases(), SIZE, tile=24)
    assert away(made.picture, whole.picture[0]) < LEVEL / 4
    assert away(made.weights, whole.weights[0] if whole.weights is not None else None) < 1e-3


@pytest.mark.parametrize("in_folder", [False, True])
def test_levels_in_halves_on_disk_are_good_enough(
    in_folder: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_levels, "NUMBERS_AT_ONCE", 1)
    whole = render(lively_model(), content(), canvases(), SIZE)
    monkeypatch.setattr(stored_levels, "IN_MEMORY", 0)
    monkeypatch.setattr(stored_levels, "EXACT_UP_TO", 0)
    folder = tmp_path if in_folder else None
    made = render(lively_model(), content(), canvases(), SIZE, tile=16, folder=folder)
    assert 0 < away(made.picture, whole.picture) < LEVEL
    assert not list(tmp_path.glob("*.numbers"))  # nobody needs them any more


def test_numbers_too_large_for_halves_are_cut_off() -> None:
    level = StoredLevel((1, 1, 2, 2), torch.float16, None, in_memory=True)
    level.write(Area(0, 2, 0, 2), torch.tensor([[[[1e6, -1e6], [0.5, 2.0]]]]))
    found = torch.empty(1, 1, 2, 1)
    level.read(Area(0, 1, 0, 2), found)
    assert found.flatten().tolist() == [LARGEST_HALF, -LARGEST_HALF]


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="only where it can be asked for")
def test_a_full_disk_is_noticed_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int, offset: int, length: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    made = StoredLevel((2, 3, 4, 5), torch.float16, tmp_path / "level", in_memory=False)
    assert (tmp_path / "level").stat().st_size == 2 * 2 * 3 * 4 * 5
    made.remove()
    assert not (tmp_path / "level").exists()
    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space left"):
        render(lively_model(), content(), canvases(), SIZE, tile=16, folder=tmp_path / "rendering")


def test_levels_take_no_more_room_than_they_may() -> None:
    model = lively_model()
    out = RollOut(model, content(), canvases(), SIZE)
    needed = out.stored_levels(out.unet, out.inputs, None).bytes
    # width 4, depth 2: three templates' 8 and 4 channels at a quarter and at half of the size
    assert needed == 4 * 3 * (8 * 20 * 18 + 4 * 40 * 36)


def test_tiles_with_their_own_statistics_are_not_the_whole_picture() -> None:
    """What is lost without streaming: this is no detail."""
    model = lively_model()
    whole = render(model, content(), canvases(), SIZE, tile=1000)
    out = RollOut(model, content(), canvases(), SIZE)
    worst = 0.0
    for tile in out.tiles(28):
        mixed = out.mix(tile).collage.numpy()
        worst = max(worst, away(whole.collage[:, tile.rows, tile.columns], mixed))
    assert worst > 8 * LEVEL


def test_sizes_need_not_be_multiples() -> None:
    model = lively_model()
    size = (50, 35)
    whole = render(model, content(size), canvases(), size, tile=1000)
    made = render(model, content(size), canvases(), size, tile=16)
    assert made.picture.shape == (3, *size)
    assert away(made.picture, whole.picture) < LEVEL / 4


def test_what_is_beyond_the_reach_does_not_matter() -> None:
    """The halo is enough, and not much more than enough."""
    model = lively_model(refine=False, kernel=3)
    out = RollOut(model, content(), canvases(), SIZE)
    norms = picture_norms(out.unet)
    for norm, given in zip(
        norms, own_statistics(out.unet, lambda: out.first(out.whole())), strict=True
    ):
        norm.given = given
    before = out.mix(out.whole()).weights
    changed = content()
    changed[..., 40, 36] += 0.5
    after = RollOut(model, changed, canvases(), SIZE).mix(out.whole()).weights
    assert before is not None and after is not None
    rows, columns = ((before - after).abs().amax(0) > 0).nonzero(as_tuple=True)
    reach = max(int((rows - 40).abs().max()), int((columns - 36).abs().max()))
    assert reach <= out.halo
    assert reach > out.halo // 2


def test_statistics_of_parts_are_those_of_the_whole() -> None:
    x = torch.randn(3, 4, 24, 20, generator=torch.Generator().manual_seed(0)) * 3 + 100
    moments = Moments()
    for part in x.split(7, dim=-2):
        for piece in part.split(11, dim=-1):
            moments.add(piece)
    found = moments.statistics()
    wide = x.double()
    torch.testing.assert_close(found.mean.double(), wide.mean((2, 3)), rtol=1e-6, atol=0)
    variance = wide.var((2, 3), correction=0)
    torch.testing.assert_close(found.variance.double(), variance, rtol=1e-5, atol=0)


def test_streamed_statistics_are_those_of_one_pass() -> None:
    model = lively_model()
    made = render(model, content(), canvases(), SIZE, tile=16)
    whole = render(model, content(), canvases(), SIZE, tile=1000)
    assert len(made.statistics.first) == len(whole.statistics.first) > 0
    assert len(made.statistics.refinement) == len(whole.statistics.refinement) > 0
    for one, other in zip(
        made.statistics.first + made.statistics.refinement,
        whole.statistics.first + whole.statistics.refinement,
        strict=True,
    ):
        torch.testing.assert_close(one.mean, other.mean, rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(one.variance, other.variance, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("scratch_mb", "norm"), [(0, "fast"), (100, "exact")])
def test_fast_tiles_fit_together_too(scratch_mb: int, norm: str) -> None:
    """Other statistics, the same for all tiles: no seams."""
    model = lively_model()
    size = (96, 160)
    options: dict[str, Any] = {"norm": "fast", "scratch_mb": scratch_mb}
    first = render(model, content(size), canvases(), size, tile=16, **options)
    assert first.norm == norm  # with stored levels there is nothing to be saved
    again = render(model, content(size), canvases(), size, tile=48, statistics=first.statistics)
    assert again.norm == "given"
    assert away(first.picture, again.picture) < LEVEL / 4


def test_adjusted_weights_have_no_seams() -> None:
    model = lively_model()
    adjustment = Adjustment(sharpness=2.0, smoothing=1.5, fidelity=3.0, bias=(0.3, -0.2, 0.0))
    whole = render(model, content(), canvases(), SIZE, tile=1000, adjustment=adjustment)
    made = render(model, content(), canvases(), SIZE, tile=16, adjustment=adjustment)
    assert away(made.picture, whole.picture) < LEVEL / 4
    plain = render(model, content(), canvases(), SIZE, tile=1000)
    assert away(plain.weights, whole.weights) > 0.1


@pytest.mark.parametrize("style", ["guided", "flow"])
def test_weights_and_templates_give_the_collage(style: str) -> None:
    model = lively_model(**STYLES[style])
    made = render(model, content(), canvases(), SIZE, tile=24)
    assert made.weights is not None
    rows = np.concatenate([made.templates(0, 30), made.templates(30, SIZE[0])], 2)
    mixed = np.einsum("khw,kchw->chw", made.weights.astype(np.float64), rows.astype(np.float64))
    assert away(made.collage, mixed) < LEVEL / 2


class Stopped(Exception):
    """Raised by the tests' ticks."""


def stopping_after(calls: int) -> Any:
    left = [calls]

    def tick() -> None:
        left[0] -= 1
        if left[0] < 0:
            raise Stopped

    return tick


@pytest.mark.parametrize(("scratch_mb", "ticks"), [(0, 9), (100, 4)])
def test_a_stopped_rendering_goes_on(tmp_path: Path, scratch_mb: int, ticks: int) -> None:
    model = lively_model()
    whole = render(model, content(), canvases(), SIZE, tile=40, scratch_mb=scratch_mb)
    seen: list[float] = []
    folder = tmp_path / "rendering"
    options: dict[str, Any] = {"tile": 40, "folder": folder, "scratch_mb": scratch_mb}
    turns = 0
    while True:
        try:
            made = render(
                model,
                content(),
                canvases(),
                SIZE,
                **options,
                tick=stopping_after(ticks),
                on_progress=lambda fraction, tile: seen.append(fraction),
            )
            break
        except Stopped:
            turns += 1
            for norm in picture_norms(model.network):
                assert norm.given is None  # nothing of a stopped rendering stays behind
    assert turns >= 2
    assert seen[-1] == pytest.approx(1.0)
    assert away(made.picture, whole.picture) < 1e-6
    assert away(made.weights, whole.weights) < 1e-6
    steps: list[float] = []
    render(
        model, content(), canvases(), SIZE, **options, on_progress=lambda f, tile: steps.append(f)
    )
    assert not steps  # all was done


def test_a_rendering_whose_levels_were_lost_computes_them_again(tmp_path: Path) -> None:
    whole = render(lively_model(), content(), canvases(), SIZE, tile=40)
    with pytest.raises(Stopped):
        render(
            lively_model(),
            content(),
            canvases(),
            SIZE,
            tile=40,
            folder=tmp_path,
            tick=stopping_after(3),
        )
    lost = list(tmp_path.glob("*.numbers"))
    for file in lost:
        file.unlink()
    made = render(lively_model(), content(), canvases(), SIZE, tile=40, folder=tmp_path)
    assert lost
    assert away(made.picture, whole.picture) < 1e-6


def test_another_rendering_in_the_same_folder_starts_anew(tmp_path: Path) -> None:
    model = lively_model()
    render(model, content(), canvases(), SIZE, tile=40, folder=tmp_path)
    made = render(model, -content(), canvases(), SIZE, tile=40, folder=tmp_path)
    whole = render(model, -content(), canvases(), SIZE, tile=40)
    assert away(made.picture, whole.picture) < 1e-6


@pytest.mark.parametrize("scratch_mb", [0, 100])
def test_progress_rises_to_one(scratch_mb: int) -> None:
    seen: list[float] = []
    for norm in ("exact", "fast"):
        seen.clear()
        render(
            lively_model(),
            content(),
            canvases(),
            SIZE,
            tile=40,
            norm=norm,
            scratch_mb=scratch_mb,
            on_progress=lambda fraction, tile: seen.append(fraction),
        )
        assert seen == sorted(seen)
        assert seen[-1] == pytest.approx(1.0)
        assert seen[0] < 0.3


def test_frames_share_templates_and_statistics() -> None:
    model = lively_model()
    contents = [content(), content().roll(5, -1)]
    frames: list[Rendering] = list(
        render_frames(model, contents, canvases(), SIZE, tile=40, keep_weights=False)
    )
    assert [frame.norm for frame in frames] == ["exact", "given"]
    for one, other in zip(frames[0].statistics.first, frames[1].statistics.first, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
    assert frames[1].weights is None
    assert away(frames[0].picture, frames[1].picture) > LEVEL
    again = render(model, contents[1], canvases(), SIZE, statistics=frames[0].statistics)
    assert away(frames[1].picture, again.picture) < LEVEL / 4


def test_noise_is_the_same_wherever_one_looks_from() -> None:
    whole = noise_area(3, 2, 0, 0, 300, 280)
    torch.testing.assert_close(noise_area(3, 2, 100, 120, 90, 140), whole[..., 100:190, 120:260])
    assert float(whole.mean().abs()) < 0.02
    assert float(whole.std()) == pytest.approx(1.0, abs=0.02)
    assert not torch.equal(noise_area(4, 2, 0, 0, 8, 8), whole[..., :8, :8])


def test_tiles_cover_the_canvas_once() -> None:
    count = np.zeros((48, 40), int)
    for tile in tile_plan((48, 40), 16, 5, 8):
        count[tile.rows, tile.columns] += 1
        assert tile.outer_top % 8 == tile.outer_left % 8 == 0
        assert tile.outer_top in (0, tile.top - 8)
        inner = np.zeros((tile.outer_height, tile.outer_width))[tile.inner()]
        assert inner.shape == (tile.height, tile.width)
    assert (count == 1).all()


def test_an_encoders_norm_sees_less_than_the_whole_network() -> None:
    settings = MosaicSettings(width=4, depth=4, heads=2)
    reaches = [norm_reach(settings, index) for index in range(6)]
    assert reaches == sorted(reaches)
    assert reaches[0] == 2 + 4
    assert reaches[-1] == settings.reach


def test_less_memory_means_smaller_tiles() -> None:
    out = RollOut(lively_model(), content((2000, 3000)), canvases(), (2000, 3000))
    assert out.largest_tile(64) < out.largest_tile(256) < out.largest_tile(100_000) == 3000
    small = out.reduced(300)
    assert small.size == (200, 300)
    assert small.corner == (900, 1350)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"norm": "own"}, "norm must be one of"),
        ({"content": None}, "follows a content picture"),
        ({"content": content((8, 8))}, r"content must be \(1, 3, 80, 72\)"),
        ({"canvases": []}, "There are no templates"),
        ({"precision": "half"}, "precision must be"),
        ({"size": (0, 4), "content": content((1, 4))}, "size must be positive"),
    ],
)
def test_wrong_input_is_refused(changed: dict[str, Any], said: str) -> None:
    given: dict[str, Any] = {"content": content(), "canvases": canvases(), "size": SIZE, **changed}
    with pytest.raises(ValueError, match=said):
        render(
            lively_model(), given.pop("content"), given.pop("canvases"), given.pop("size"), **given
        )


def test_a_fixed_memory_refuses_another_number_of_templates() -> None:
    model = lively_model(style="fixed_memory", slots=3)
    with pytest.raises(ValueError, match="fixed memory of 3 templates, got 4"):
        render(model, content(), canvases(4), SIZE)
    with pytest.raises(ValueError, match="needs noise_channels"):
        build_network(MosaicSettings(style="parametric", guided=False))


def test_a_refinement_alone_has_its_own_statistics() -> None:
    model = lively_model()
    made = render(model, content(), canvases(), SIZE, tile=16)
    unrefined = render(model, content(), canvases(), SIZE, tile=16, refine=False)

    assert away(made.collage, unrefined.picture) < 1e-6
    assert away(made.picture, made.collage) > LEVEL
    assert unrefined.statistics.refinement == []
