"""Poisson blending against a sparse factorisation of the same equations, and against published
values."""

import itertools

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import splu
from tests.support import reference_data
from torch import Tensor

from intarsia_models.blending import poisson_blend
from intarsia_models.blending.cosine_solver import solve_on_rectangle
from intarsia_models.blending.harmonic import HarmonicSolver
from intarsia_models.blending.parts import find_parts
from intarsia_models.blending.poisson import Gradients

GREY_LEVEL = 2 / 255
TOLERANCE = 0.1  # grey levels: the most that is promised to callers


def exact_blend(
    source: Tensor, target: Tensor, inside: NDArray[np.bool_], gradients: Gradients
) -> Tensor:
    """Pérez et al. 2003, Eq. 7, assembled pixel pair by pixel pair in float64 and solved by a
    factorisation."""
    g, f = (picture[0].double().numpy() for picture in (source, target))
    count = int(inside.sum())
    number = np.full(inside.shape, -1)
    number[inside] = np.arange(count)
    rows, columns = np.nonzero(inside)
    entries, right = [], np.zeros((count, 3))
    degree = np.zeros(count)
    for down, across in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        r, c = rows + down, columns + across
        here = np.flatnonzero((r >= 0) & (r < inside.shape[0]) & (c >= 0) & (c < inside.shape[1]))
        p, q = (slice(None), rows[here], columns[here]), (slice(None), r[here], c[here])
        own, other = g[p] - g[q], f[p] - f[q]
        if gradients == "mixed":
            own = np.where(np.abs(other) > np.abs(own) + 1e-5, other, own)
        np.add.at(right, here, own.T)
        degree[here] += 1
        unknown = inside[r[here], c[here]]
        entries.append((here[unknown], number[r[here], c[here]][unknown]))
        np.add.at(right, here[~unknown], f[q].T[~unknown])
    i, j = (np.concatenate(part) for part in zip(*entries, strict=True))
    matrix = sparse.diags_array(degree) - sparse.coo_array(
        (np.ones(len(i)), (i, j)), shape=(count, count)
    )
    solution = splu(sparse.csc_array(matrix)).solve(right)
    result = f.copy()
    result[:, inside] = solution.T
    return torch.from_numpy(result)[None]


def pictures(height: int, width: int, *, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    """Noise, the hardest boundary, in 8-bit levels, so that equal differences are equal."""
    levels = [
        torch.randint(low, 256, (1, 3, height, width), generator=generator) for low in (0, 128)
    ]
    return levels[0] / 127.5 - 1, levels[1] / 127.5 - 1


def as_edit_mask(inside: NDArray[np.bool_]) -> Tensor:
    return torch.from_numpy(inside.astype(np.float32))[None, None]


def blob(height: int, width: int, *, seed: int = 0) -> NDArray[np.bool_]:
    """An irregular area with islands and bays that keeps off the border."""
    rng = np.random.default_rng(seed)
    field = np.zeros((height, width), np.float32)
    for cells, weight in ((4, 1.0), (16, 0.4), (64, 0.15)):
        noise = rng.standard_normal((cells, cells)).astype(np.float32)
        field += weight * cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    inside = field + 2.2 * (1 - 1.4 * np.hypot(x, y)) > 0
    inside[[0, -1]] = False
    inside[:, [0, -1]] = False
    return inside


def small_areas() -> dict[str, NDArray[np.bool_]]:
    rng = np.random.default_rng(7)
    shape = (61, 74)
    areas = {
        "one pixel": np.zeros(shape, bool),
        "one pixel in the corner": np.zeros(shape, bool),
        "all but one pixel": np.ones(shape, bool),
        "all but a corner": np.ones(shape, bool),
        "one row": np.zeros(shape, bool),
        "left half": np.zeros(shape, bool),
        "hole in a hole": np.zeros(shape, bool),
        "touching at corners only": np.zeros(shape, bool),
        "speckles": rng.random(shape) > 0.2,
        "isolated speckles": rng.random(shape) > 0.8,
        "odd pixels only": np.ones(shape, bool),
        "thin walls": np.ones(shape, bool),
        "blob": blob(*shape),
    }
    areas["one pixel"][30, 11] = True
    areas["one pixel in the corner"][-1, -1] = True
    areas["all but one pixel"][40, 50] = False
    areas["all but a corner"][0, 0] = False
    areas["one row"][17] = True
    areas["left half"][:, :37] = True
    areas["hole in a hole"][5:55, 5:60] = True
    areas["hole in a hole"][15:45, 15:50] = False
    areas["hole in a hole"][25:35, 25:40] = True
    areas["touching at corners only"][10:20, 10:20] = True
    areas["touching at corners only"][20:30, 20:30] = True
    areas["odd pixels only"][::2, ::2] = False
    areas["thin walls"][:, ::9] = False
    areas["thin walls"][30] = True
    return areas


def error_in_grey_levels(got: Tensor, wanted: Tensor) -> float:
    return float((got.double() - wanted).abs().max()) / GREY_LEVEL


@pytest.mark.parametrize("gradients", ["import", "mixed"])
@pytest.mark.parametrize("case", ["irregular", "two_components", "touches_border"])
def test_published_cases_are_reproduced(case: str, gradients: Gradients) -> None:
    folder = reference_data()
    if folder is None:
        pytest.skip("no reference data beside the project")
    data = np.load(folder / "golden" / "08_poisson" / "io.npz")
    source, target = (
        torch.from_numpy(data[f"{case}.{name}_u8"]).permute(2, 0, 1)[None].float() / 127.5 - 1
        for name in ("source", "target")
    )
    result = poisson_blend(
        source, target, as_edit_mask(data[f"{case}.mask_u8"] > 127), gradients=gradients
    )
    levels = (result[0].permute(1, 2, 0).double().numpy() + 1) * 127.5
    wanted = data[f"{case}.exact_{gradients}_f64"]
    np.testing.assert_allclose(levels, wanted, atol=TOLERANCE)
    rounded = [np.clip(np.rint(array), 0, 255) for array in (levels, wanted)]
    assert np.abs(rounded[0] - rounded[1]).max() <= 1


@pytest.mark.parametrize("gradients", ["import", "mixed"])
@pytest.mark.parametrize("name", small_areas())
def test_every_kind_of_area_gets_the_exact_solution(name: str, gradients: Gradients) -> None:
    inside = small_areas()[name]
    source, target = pictures(*inside.shape)
    wanted = exact_blend(source, target, inside, gradients)
    result = poisson_blend(source, target, as_edit_mask(inside), gradients=gradients)
    assert error_in_grey_levels(result, wanted) < TOLERANCE
    assert torch.equal(
        result[..., ~torch.from_numpy(inside)], target[..., ~torch.from_numpy(inside)]
    )


@pytest.mark.parametrize("gradients", ["import", "mixed"])
@pytest.mark.parametrize("at_border", [False, True])
def test_a_large_area_gets_the_exact_solution_through_all_levels(
    at_border: bool, gradients: Gradients
) -> None:
    inside = blob(420, 397)
    if at_border:
        inside[:200] = True
        inside[:, :7] = False
        inside[50, 200] = False
    assert len(HarmonicSolver(inside).points_per_level) >= 4
    source, target = pictures(*inside.shape)
    wanted = exact_blend(source, target, inside, gradients)
    result = poisson_blend(source, target, as_edit_mask(inside), gradients=gradients)
    assert error_in_grey_levels(result, wanted) < TOLERANCE


def test_a_700_pixel_area_gets_the_exact_solution() -> None:
    inside = blob(700, 700, seed=3)
    source, target = pictures(700, 700)
    wanted = exact_blend(source, target, inside, "mixed")
    result = poisson_blend(source, target, as_edit_mask(inside), gradients="mixed")
    assert error_in_grey_levels(result, wanted) < TOLERANCE


@pytest.mark.parametrize("seed", range(4))
def test_grids_alone_add_little_to_a_tightly_solved_harmonic_function(seed: int) -> None:
    inside = blob(256, 300, seed=seed)
    source, target = pictures(256, 300, seed=seed)
    wanted = exact_blend(torch.zeros_like(source), target, inside, "import")
    result = poisson_blend(torch.zeros_like(source), target, as_edit_mask(inside), tolerance=1e-6)
    assert error_in_grey_levels(result, wanted) < 0.03


def test_few_cycles_are_enough_on_difficult_areas() -> None:
    """A coarse grid that does not see the area's true shape diverges or needs a hundred."""
    speckles = np.random.default_rng(0).random((300, 300)) > 0.1
    sieve = np.ones((300, 300), bool)
    sieve[::7, ::11] = False
    lonely = np.ones((300, 300), bool)
    lonely[100, 75] = False
    for inside in (speckles, sieve, lonely, blob(300, 300)):
        shares: list[float] = []
        around = np.random.default_rng(1).uniform(-1, 1, (3, 300, 300))
        HarmonicSolver(inside).solve(around, tolerance=1e-4, after_cycle=shares.append)
        assert len(shares) <= 15


def test_cosine_solver_satisfies_its_equations() -> None:
    right_side = np.random.default_rng(0).standard_normal((31, 44))
    right_side -= right_side.mean()
    u = solve_on_rectangle(right_side.copy())
    padded = np.pad(u, 1, mode="edge")
    left = 4 * u - padded[2:, 1:-1] - padded[:-2, 1:-1] - padded[1:-1, 2:] - padded[1:-1, :-2]
    np.testing.assert_allclose(left, right_side, atol=1e-12)


def test_parts_cover_the_area_once_with_a_margin() -> None:
    rng = np.random.default_rng(2)
    inside = np.zeros((700, 900), bool)
    inside[rng.integers(0, 700, 300), rng.integers(0, 900, 300)] = True
    inside[200:420, 100:600] = True
    seen = np.zeros(inside.shape, int)
    for part in find_parts(inside):
        seen[part.rows, part.columns] += part.inside
        edges = (
            (part.rows.start, 0),
            (part.columns.start, 0),
            (part.rows.stop, 700),
            (part.columns.stop, 900),
        )
        lines = (part.inside[0], part.inside[:, 0], part.inside[-1], part.inside[:, -1])
        assert all(
            at == border or not line.any() for (at, border), line in zip(edges, lines, strict=True)
        )
    np.testing.assert_array_equal(seen, inside)
    assert len(find_parts(inside)) < 10


def test_equal_pictures_give_the_target() -> None:
    _, target = pictures(90, 80)
    for gradients in ("import", "mixed"):
        result = poisson_blend(target, target, as_edit_mask(blob(90, 80)), gradients=gradients)
        assert error_in_grey_levels(result, target.double()) < 1e-3


def test_an_empty_edit_mask_gives_exactly_the_target() -> None:
    source, target = pictures(20, 30)
    assert torch.equal(poisson_blend(source, target, torch.full((1, 1, 20, 30), 0.49)), target)


@pytest.mark.parametrize("gradients", ["import", "mixed"])
def test_a_constant_added_to_the_source_changes_nothing(gradients: Gradients) -> None:
    source, target = pictures(150, 130)
    area = as_edit_mask(blob(150, 130))
    shift = torch.tensor([0.3, -0.2, 0.5]).reshape(1, 3, 1, 1)
    one = poisson_blend(source, target, area, gradients=gradients)
    two = poisson_blend(source + shift, target, area, gradients=gradients)
    assert error_in_grey_levels(one, two.double()) < TOLERANCE


def test_import_is_linear() -> None:
    area = as_edit_mask(blob(200, 160))
    (g1, f1), (g2, f2) = pictures(200, 160, seed=1), pictures(200, 160, seed=2)
    mixed = poisson_blend(0.3 * g1 + 0.7 * g2, 0.3 * f1 + 0.7 * f2, area, tolerance=1e-3)
    sum_ = 0.3 * poisson_blend(g1, f1, area, tolerance=1e-3) + 0.7 * poisson_blend(
        g2, f2, area, tolerance=1e-3
    )
    assert error_in_grey_levels(mixed, sum_.double()) < 0.01


def test_everything_selected_imports_the_source_and_keeps_its_mean_when_mixed() -> None:
    source, target = pictures(48, 56)
    everything = torch.ones(1, 1, 48, 56)
    assert torch.equal(poisson_blend(source, target, everything), source)
    mixed = poisson_blend(source, target, everything, gradients="mixed")
    assert not torch.allclose(mixed, source, atol=0.1)
    torch.testing.assert_close(mixed.mean((2, 3)), source.mean((2, 3)), atol=1e-5, rtol=0)


def test_batches_are_independent() -> None:
    pairs = [pictures(64, 70, seed=seed) for seed in range(2)]
    areas = [as_edit_mask(blob(64, 70, seed=seed)) for seed in range(2)]
    together = poisson_blend(
        torch.cat([pair[0] for pair in pairs]),
        torch.cat([pair[1] for pair in pairs]),
        torch.cat(areas),
    )
    for index, ((source, target), area) in enumerate(zip(pairs, areas, strict=True)):
        assert torch.equal(together[index : index + 1], poisson_blend(source, target, area))


def test_soft_edit_masks_are_cut_at_one_half() -> None:
    source, target = pictures(40, 40)
    soft = torch.rand(1, 1, 40, 40, generator=torch.Generator().manual_seed(0))
    hard = (soft >= 0.5).float()
    assert torch.equal(poisson_blend(source, target, soft), poisson_blend(source, target, hard))


def test_clamp_clips_the_area_only() -> None:
    source, target = pictures(60, 60)
    target = target * 2 + 1
    area = as_edit_mask(blob(60, 60))
    free, clipped = (
        poisson_blend(source * 3, target, area, clamp=clamp) for clamp in (False, True)
    )
    assert free[area.expand_as(free) > 0].max() > 1
    torch.testing.assert_close(
        clipped, torch.where(area > 0, free.clamp(-1, 1), target), rtol=0, atol=0
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_dtype_of_the_target_is_kept_and_arguments_are_not_changed(dtype: torch.dtype) -> None:
    source, target = (picture.to(dtype) for picture in pictures(50, 60))
    area = as_edit_mask(blob(50, 60))
    copies = source.clone(), target.clone(), area.clone()
    result = poisson_blend(source, target, area, gradients="mixed")
    assert result.dtype == dtype and result.shape == target.shape
    outside = (area == 0).expand_as(target)
    assert torch.equal(result[outside], target[outside])
    for now, before in zip((source, target, area), copies, strict=True):
        assert torch.equal(now, before)


def test_progress_rises_to_one_and_every_step_can_stop() -> None:
    source, target = pictures(300, 300)
    inside = blob(300, 300)
    inside[2:6, 2:6] = True
    shares: list[float] = []
    poisson_blend(
        source, target, as_edit_mask(inside), gradients="mixed", on_progress=shares.append
    )
    assert all(one <= two for one, two in itertools.pairwise(shares))
    assert shares[-1] == 1.0 and len(set(shares)) > 8

    class Stopped(Exception):
        pass

    def tick() -> None:
        nonlocal calls
        calls += 1
        if calls == 5:
            raise Stopped

    calls = 0
    with pytest.raises(Stopped):
        poisson_blend(source, target, as_edit_mask(inside), tick=tick)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_tensors_come_back_on_their_device() -> None:
    source, target = pictures(64, 64)
    area = as_edit_mask(blob(64, 64))
    result = poisson_blend(source.cuda(), target.cuda(), area.cuda())
    assert result.is_cuda
    assert torch.equal(result.cpu(), poisson_blend(source, target, area))


def test_wrong_options_are_named() -> None:
    source, target = pictures(8, 8)
    area = torch.zeros(1, 1, 8, 8)
    with pytest.raises(ValueError, match=r'gradients must be "import" or "mixed", got \'strong\''):
        poisson_blend(source, target, area, gradients="strong")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"tolerance must lie in \[1e-6, 1\] grey levels, got 0"):
        poisson_blend(source, target, area, tolerance=0)
