"""Templates: patches to train on, and endless canvases."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from intarsia_models.errors import UnsuitablePicture
from intarsia_models.mosaic.templates import PictureSource, opaque, resized, stacked


def _picture(height: int, width: int, seed: int = 0) -> Tensor:
    source = torch.Generator().manual_seed(seed)
    return torch.randint(256, (3, height, width), generator=source, dtype=torch.uint8)


def _source(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("tiling", ["mirror", "wrap"])
def test_a_canvas_is_the_picture_again_and_again(tiling: str) -> None:
    picture = _picture(5, 7)
    canvas = PictureSource([picture], tiling=tiling).canvases(1, 3)[0]  # type: ignore[arg-type]
    plain = picture.float() / 127.5 - 1.0
    twice = torch.cat([plain, plain.flip(-1) if tiling == "mirror" else plain], -1)
    whole = torch.cat([twice, twice.flip(-2) if tiling == "mirror" else twice], -2)
    many = whole.repeat(1, 5, 5)
    area = canvas.area(-4, -6, 21, 30)
    top, left = canvas.top + 20 - 4, canvas.left + 28 - 6
    assert torch.equal(area, many[:, top : top + 21, left : left + 30])


def test_areas_of_a_canvas_fit_together() -> None:
    source = PictureSource([_picture(9, 6), _picture(30, 40, 1)])
    canvases = source.canvases(4, 5, scales=(0.5, 2.0), flips=True)
    whole = stacked(canvases, -3, 2, 40, 50)
    assert whole.shape == (1, 4, 3, 40, 50)
    part = stacked(canvases, 7, 12, 8, 9)
    assert torch.equal(part, whole[..., 10:18, 10:19])
    assert {canvas.to_card()["name"] for canvas in canvases} == {"1", "2"}


def test_small_pictures_do_not_all_repeat_in_step() -> None:
    pictures = [_picture(40, 40, n) for n in range(6)]
    source = PictureSource(pictures)
    canvases = source.canvases(6, 0, size=(200, 70))
    heights, widths = ([canvas.pixels.shape[axis] for canvas in canvases] for axis in (1, 2))
    assert set(widths) == {40}, "twice 40 pixels are wider than the mosaic"
    assert len(set(heights)) > 2 and 29 <= min(heights) <= max(heights) <= 40
    for canvas in canvases:
        (top, left), (height, width) = canvas.part, canvas.pixels.shape[1:]
        own = pictures[canvas.index][:, top : top + height, left : left + width]
        assert torch.equal(canvas.pixels, own), "copied as it is"
    plain = [canvas.to_card() for canvas in source.canvases(6, 0)]
    assert [canvas.to_card() for canvas in source.canvases(6, 0, size=(80, 70))] == plain
    assert canvases[0].to_card() != plain[0] and canvases[0].to_card()["top"] == plain[0]["top"]


def test_every_picture_is_on_a_canvas_before_one_comes_twice() -> None:
    source = PictureSource([_picture(8, 8, n) for n in range(5)])
    for seed in range(4):
        indices = [canvas.index for canvas in source.canvases(12, seed)]
        assert sorted(indices[:5]) == sorted(indices[5:10]) == list(range(5))
    same = [source.canvases(12, 7) for _ in range(2)]
    assert [c.to_card() for c in same[0]] == [c.to_card() for c in same[1]]


def test_patches_are_parts_of_the_pictures() -> None:
    pictures = [_picture(20, 30), _picture(16, 16, 1)]
    crops = PictureSource(pictures).crops(12, 8, _source())
    assert crops.dtype == torch.uint8 and crops.shape == (12, 3, 8, 8)
    found = {
        index
        for crop in crops
        for index, picture in enumerate(pictures)
        if (picture.unfold(1, 8, 1).unfold(2, 8, 1) == crop[:, None, None]).all((0, 3, 4)).any()
    }
    assert found == {0, 1}
    assert torch.equal(crops, PictureSource(pictures).crops(12, 8, _source()))


def test_patches_larger_than_a_picture_go_on_beyond_it() -> None:
    crops = PictureSource([_picture(5, 6)]).crops(3, 16, _source(), flips="both")
    assert crops.shape == (3, 3, 16, 16)


def test_scales_resize_templates() -> None:
    flat = torch.full((3, 40, 20), 77, dtype=torch.uint8)
    assert resized(flat, 0.25).shape == (3, 10, 5)
    assert resized(flat, 0.01).shape == (3, 4, 4)
    assert set(resized(flat, 1.7).unique().tolist()) == {77}
    canvases = PictureSource([flat], scale=0.5).canvases(20, 0, scales=(0.5, 2.0))
    scales = {round(canvas.scale, 3) for canvas in canvases}
    assert min(scales) >= 0.25 and max(scales) <= 1.0 and 2 < len(scales) <= 9


def test_transparent_parts_take_the_nearest_colour_and_borders_are_cut() -> None:
    picture = np.zeros((6, 8, 4), np.uint8)
    picture[1:4, 2:7] = (200, 10, 30, 255)
    picture[2, 3] = (9, 9, 9, 0)
    made = opaque(picture)
    assert made.shape == (3, 3, 5)
    assert set(made.flatten(1).T.unique(dim=0).flatten().tolist()) == {200, 10, 30}
    with pytest.raises(UnsuitablePicture, match="transparent everywhere"):
        opaque(np.zeros((6, 8, 4), np.uint8))


def test_folders_and_zip_files_are_read_alike(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    (folder / "inner").mkdir(parents=True)
    pixels = _picture(12, 10).permute(1, 2, 0).numpy()
    Image.fromarray(pixels).save(folder / "a.png")
    Image.fromarray(pixels[:6]).save(folder / "inner" / "b.png")
    (folder / "notes.txt").write_text("no picture")
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for path in sorted(folder.rglob("*.png")):
            archive.write(path, path.relative_to(folder).as_posix())
    one, other = PictureSource.from_folder(folder), PictureSource.from_folder(tmp_path / "set.zip")
    assert one.names == other.names == ("a.png", "inner/b.png")
    assert one.fingerprint() == other.fingerprint()
    assert one.fingerprint() != PictureSource.from_folder(folder, scale=0.5).fingerprint()
    assert torch.equal(one.pictures[0], torch.from_numpy(pixels.copy()).permute(2, 0, 1))
    assert PictureSource.from_file(folder / "a.png", largest_side=6).pictures[0].shape == (3, 6, 5)


def test_folders_without_templates_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsuitablePicture, match="holds no pictures"):
        PictureSource.from_folder(tmp_path)
    with pytest.raises(UnsuitablePicture, match="no folder"):
        PictureSource.from_folder(tmp_path / "nowhere")
    (tmp_path / "broken.png").write_bytes(b"not a picture")
    with pytest.raises(UnsuitablePicture, match=r"broken\.png cannot be read"):
        PictureSource.from_folder(tmp_path)
    with pytest.raises(UnsuitablePicture, match="2 x 9 pixels"):
        PictureSource([_picture(9, 2)])
    with pytest.raises(ValueError, match="tiling must be one of"):
        PictureSource([_picture(9, 9)], tiling="spread")  # type: ignore[arg-type]
