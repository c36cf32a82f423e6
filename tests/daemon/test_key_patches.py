"""Operations on key patches, run directly with a small model of random weights."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from operation_runs import as_picture, box_area, direct_context, painting, run_directly
from PIL import Image
from small_generators import install_small_generator
from small_key_patches import install_small_key_patches

from intarsia_client.errors import InvalidRequest
from intarsia_daemon.context import Context
from intarsia_daemon.pixels import Area, Picture
from intarsia_models.errors import UnsuitablePicture


@pytest.fixture(name="home", scope="module")
def _home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    install_small_generator(home)  # one that cannot do it
    install_small_key_patches(home)
    return home


@pytest.fixture(name="context")
def _context(home: Path) -> Context:
    return direct_context(home)


def _parts(count: int = 3, **more) -> list[Picture]:
    return [painting(20 + n, 30, x=40 * n, y=7 * n, seed=n, **more) for n in range(count)]


@pytest.fixture(name="folder", scope="module")
def _folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(4):
        array = painting(70, 90, seed=number).array
        Image.fromarray(array[..., :3]).save(folder / f"{number}.png")
    (folder / "broken.png").write_bytes(b"no picture")
    return folder


# --- assemble


def test_parts_become_a_picture_and_its_placement_around_where_they_lie(context: Context) -> None:
    outcome = run_directly(context, "assemble", {"parts": _parts()})
    placement, picture = outcome.layers
    assert picture.array.shape == (110, 110, 4) and placement.array.shape == (110, 110)
    assert (picture.x, picture.y) == (placement.x, placement.y) == (0, -37)  # 110 x 36 at (0, 0)
    assert (picture.array[..., 3] == 255).all() and picture.array.dtype == np.uint8
    assert outcome.metrics["placed"] == pytest.approx(placement.array.mean() / 255, abs=0.01)
    assert outcome.model is not None and outcome.model["family"] == "key-patches"


def test_places_and_order_of_the_parts_change_nothing_of_the_picture(context: Context) -> None:
    """The encodings of the parts are summed: Lee et al. 2018."""
    parts = _parts()
    moved = [Picture(p.array, 5, 9, p.name) for p in reversed(parts)]
    one, other = (
        run_directly(context, "assemble", {"parts": given}, size="model")
        for given in (parts, moved)
    )
    for a, b in zip(one.layers, other.layers, strict=True):
        assert a.array.shape[:2] == (64, 64)
        assert np.abs(a.array.astype(int) - b.array).max() <= 1


def test_transparent_edges_of_a_part_are_not_seen(context: Context) -> None:
    part = painting(24, 30)
    framed = np.zeros((50, 60, 4), np.uint8)
    framed[..., :3] = 255  # colours under transparency
    framed[10:34, 20:50] = part.array
    plain, cut = (
        run_directly(context, "assemble", {"parts": [given]}, size="model")
        for given in (part, Picture(framed))
    )
    assert np.array_equal(plain.layers[1].array, cut.layers[1].array)


def test_the_placement_can_be_the_pictures_own_mask_or_left_out(context: Context) -> None:
    cut = run_directly(context, "assemble", {"parts": _parts(2)}, output="cut")
    assert [layer.mask_of for layer in cut.layers] == [None, 0]
    assert cut.layers[1].array.shape == cut.layers[0].array.shape[:2]
    alone = run_directly(context, "assemble", {"parts": _parts(2)}, output="picture")
    assert [layer.array.ndim for layer in alone.layers] == [3]
    assert any("more than once" in note for note in alone.notes)  # it learnt from three


@pytest.mark.parametrize("dtype", ["u16", "f32"])
def test_the_picture_has_the_sample_type_of_the_parts(context: Context, dtype: str) -> None:
    outcome = run_directly(context, "assemble", {"parts": _parts(dtype=dtype)})
    assert {layer.array.dtype for layer in outcome.layers} == {
        _parts(1, dtype=dtype)[0].array.dtype
    }


def test_the_seed_says_which_part_counts_twice_and_degrading_changes_it(context: Context) -> None:
    made = {}
    for seed in range(6):
        context.seed = seed
        outcome = run_directly(context, "assemble", {"parts": _parts(2)})
        made[outcome.layers[1].array.tobytes()] = seed
    assert 2 <= len(made) < 6  # one of two parts comes again
    context.seed = 0
    plain, *others = (
        run_directly(context, "assemble", {"parts": _parts()}, **how).layers[1].array
        for how in ({}, {}, {"shrink": 50.0}, {"noise": 0.5})
    )
    assert [np.array_equal(plain, other) for other in others] == [True, False, False]


def test_what_cannot_be_assembled_is_refused_with_what_would_be_right(context: Context) -> None:
    with pytest.raises(InvalidRequest, match="at most 3 parts, got 4") as caught:
        run_directly(context, "assemble", {"parts": _parts(4)})
    assert "all but 3" in caught.value.remedy
    clear = Picture(np.zeros((8, 8, 4), np.uint8), name="Empty")
    with pytest.raises(InvalidRequest, match="'Empty' has no visible pixels"):
        run_directly(context, "assemble", {"parts": [clear]})
    known = {entry["family"]: entry["id"] for entry in context.models.list()}
    other = next(name for family, name in known.items() if family != "key-patches")
    with pytest.raises(InvalidRequest, match="none that makes a whole of parts") as wrong:
        run_directly(context, "assemble", {"parts": _parts()}, model=other)
    assert known["key-patches"] in wrong.value.remedy


def test_without_a_model_one_is_told_how_to_come_by_one(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="makes a whole of parts is installed") as caught:
        run_directly(direct_context(tmp_path), "assemble", {"parts": _parts()})
    assert "intarsia train patches" in caught.value.remedy


# --- key patches


def _spotted() -> tuple[Picture, list[tuple[int, int]]]:
    """A flat picture with three checkered discs, and their middles (x, y)."""
    array = np.full((120, 160, 4), 128, np.uint8)
    array[..., 3] = 255
    rows, columns = np.mgrid[:120, :160]
    middles = [(35, 30), (120, 40), (80, 90)]
    for x, y in middles:
        inside = (rows - y) ** 2 + (columns - x) ** 2 < 15**2
        array[inside, :3] = np.where((rows // 4 + columns // 4) % 2, 255, 0)[inside][:, None]
    return Picture(array, 11, -5, "Discs"), middles


def test_key_patches_are_cut_where_the_things_are_with_their_own_pixels(context: Context) -> None:
    picture, middles = _spotted()
    outcome = run_directly(context, "key_patches", {"picture": picture}, overlap=10.0)
    assert [layer.name for layer in outcome.layers] == [f"Discs, key patch {n}" for n in (3, 2, 1)]
    assert {layer.group for layer in outcome.layers} == {"Key patches of Discs"}
    found = set()
    for layer in outcome.layers:
        x, y = layer.x - picture.x, layer.y - picture.y
        height, width = layer.array.shape[:2]
        assert np.array_equal(layer.array, picture.array[y : y + height, x : x + width])
        found |= {
            n for n, (a, b) in enumerate(middles) if x <= a < x + width and y <= b < y + height
        }
    assert found == {0, 1, 2}


def test_key_patches_keep_to_the_area_and_the_sizes(context: Context) -> None:
    picture, middles = _spotted()
    area = box_area(picture, 90, 0, 160, 80)
    outcome = run_directly(
        context, "key_patches", {"picture": picture, "area": area}, count=1, sizes="own",
        least=20.0, most=22.0,
    )  # fmt: skip
    layer, side = outcome.layers[0], (120 * 160) ** 0.5
    x, y = layer.x - picture.x, layer.y - picture.y
    assert x <= middles[1][0] < x + layer.array.shape[1]
    assert y <= middles[1][1] < y + layer.array.shape[0]
    assert all(0.19 * side <= length <= 0.23 * side for length in layer.array.shape[:2])
    with pytest.raises(InvalidRequest, match=r"30 %, is larger than the largest, 20 %"):
        run_directly(
            context, "key_patches", {"picture": picture}, sizes="own", least=30.0, most=20.0
        )


def test_key_patches_of_nothing_are_refused(context: Context) -> None:
    with pytest.raises(InvalidRequest, match="no visible pixels"):
        run_directly(context, "key_patches", {"picture": Picture(np.zeros((9, 9, 4), np.uint8))})
    picture = painting()
    outside = Area(np.full((5, 5), 255, np.uint8), 400, 400)
    with pytest.raises(InvalidRequest, match="covers nothing of the picture"):
        run_directly(context, "key_patches", {"picture": picture, "area": outside})
    tiny = Picture(np.full((1, 40, 4), 255, np.uint8))
    with pytest.raises(UnsuitablePicture, match="No part of"):
        run_directly(context, "key_patches", {"picture": tiny})


def test_key_patches_can_be_assembled_at_once(context: Context) -> None:
    cut = run_directly(context, "key_patches", {"picture": painting(90, 90)})
    outcome = run_directly(context, "assemble", {"parts": [as_picture(x) for x in cut.layers]})
    assert outcome.layers[1].array.shape[2] == 4


# --- recombine


def test_parts_of_pictures_are_mixed_the_same_for_the_same_seed(context: Context) -> None:
    pictures = [painting(70, 90, seed=n) for n in range(3)]
    given = {"pictures": pictures}
    layers = run_directly(context, "recombine", given, count=3, output="layers").layers
    assert {layer.group for layer in layers} == {"Mixtures"} and len(layers) == 3
    again = run_directly(context, "recombine", given, count=2, output="layers").layers
    assert np.array_equal(again[-1].array, layers[-1].array)  # the first one, on top
    assert np.array_equal(again[-2].array, layers[-2].array)
    sheet = run_directly(context, "recombine", given, count=2).layers
    assert len(sheet) == 1 and sheet[0].array.shape[1] > 5 * 64  # three parts, placement, whole


def test_mixtures_of_a_folder_are_written_once_and_nothing_is_overwritten(
    context: Context, folder: Path, tmp_path: Path
) -> None:
    results = tmp_path / "mixed"
    how = {"folder": str(folder), "results": str(results), "count": 5}
    outcome = run_directly(context, "recombine", **how)
    files = sorted(path.name for path in results.glob("*.png"))
    assert files == [f"mixture-{n:04d}.png" for n in range(1, 6)]
    assert any("broken.png" in note for note in outcome.notes)
    with (results / "recombine.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows] == [name for name in files for _ in range(3)]
    assert all(len({r["part_of"] for r in rows if r["file"] == name}) == 2 for name in files)
    stamps = {path: path.stat().st_mtime_ns for path in results.glob("*.png")}
    run_directly(context, "recombine", **{**how, "count": 6})  # goes on
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items())
    assert (results / "mixture-0006.png").is_file()
    context.seed += 1
    with pytest.raises(InvalidRequest, match=r"already holds mixture-0001\.png"):
        run_directly(context, "recombine", **how)


def test_mixing_without_pictures_says_what_to_give(context: Context, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="No pictures were given"):
        run_directly(context, "recombine")
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(InvalidRequest, match=r"None of the 1 pictures can be used: a\.png"):
        run_directly(context, "recombine", folder=str(tmp_path))


# --- features


def test_features_are_an_array_with_a_table_that_says_what_each_row_is(
    context: Context, folder: Path, tmp_path: Path
) -> None:
    results = tmp_path / "found"
    outcome = run_directly(
        context, "features", folder=str(folder), results=str(results), seen="both", count=2
    )
    found = np.load(results / "features.npy", allow_pickle=False)
    with (results / "features.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert found.dtype == np.float32 and found.shape == (12, 16 * 16)
    assert [row["part"] for row in rows] == ["0", "1", "2"] * 4
    assert [row["file"] for row in rows[::3]] == [f"{n}.png" for n in range(4)]
    assert (rows[0]["width"], rows[0]["height"]) == ("90", "70")
    assert any("broken.png" in note for note in outcome.notes)
    whole = run_directly(context, "features", folder=str(folder), results=str(tmp_path / "whole"))
    alone = np.load(tmp_path / "whole" / "features.npy", allow_pickle=False)
    np.testing.assert_allclose(alone, found[::3], atol=1e-5)
    assert whole.layers[0].name == "Nearest by features"
    with pytest.raises(InvalidRequest, match=r"already holds features\.npy"):
        run_directly(context, "features", folder=str(folder), results=str(results))


def test_parquet_is_written_where_pyarrow_is_and_else_refused_before_work(
    context: Context, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    how = {"folder": str(folder), "results": str(tmp_path / "p"), "format": "parquet"}
    with monkeypatch.context() as without:
        without.setattr("importlib.util.find_spec", lambda name: None)
        with pytest.raises(InvalidRequest, match="pyarrow, which is not installed"):
            run_directly(context, "features", None, **how)
    assert not (tmp_path / "p").exists()
    parquet = pytest.importorskip("pyarrow.parquet")
    run_directly(context, "features", None, **how)
    table = parquet.read_table(tmp_path / "p" / "features.parquet")
    assert table.num_rows == 4 and len(table["features"][0]) == 16 * 16


def test_features_need_a_model_with_a_critic(tmp_path: Path, folder: Path) -> None:
    install_small_key_patches(tmp_path, critic=False)
    with pytest.raises(InvalidRequest, match="describes pictures by numbers is installed"):
        run_directly(
            direct_context(tmp_path), "features", folder=str(folder), results=str(tmp_path / "r")
        )
