"""What is shown of a mosaic while it is composed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import small_mosaics
from operation_runs import direct_context, painting, run_directly

from intarsia_daemon import mosaic_parameters, mosaic_pictures, mosaic_previews
from intarsia_daemon.messages import Working
from intarsia_daemon.mosaic_places import Place, whole_place
from intarsia_daemon.mosaic_previews import MosaicPreviews
from intarsia_daemon.pixels import Picture
from intarsia_models.mosaic.adjustment import Adjustment
from intarsia_models.mosaic.model import MosaicModel, build_network
from intarsia_models.mosaic.templates import PictureSource


def _place(height: int = 40, width: int = 60) -> Place:
    return whole_place(painting(height, width))


def _padded(height: int, width: int) -> np.ndarray:
    """What a rendering fills, a little larger than the mosaic."""
    return np.zeros((3, height + 8, width + 4), np.float32)


def test_there_is_nothing_to_see_before_anything_is_composed() -> None:
    previews = MosaicPreviews(_place())
    assert previews.layer() is None
    previews.watch({"collage": _padded(40, 60)})
    assert previews.layer() is None


def test_tiles_are_seen_as_they_come_and_the_rest_stays_open() -> None:
    place = _place()
    place.coverage[:10] = 0.5
    previews, collage = MosaicPreviews(place), _padded(40, 60)
    previews.watch({"collage": collage})
    collage[:, :20, :30] = 0.5
    shown = previews.layer()
    assert shown is not None and shown.array.shape == (40, 60, 4)
    np.testing.assert_allclose(shown.array[:20, :30, :3], 0.75)
    assert (shown.array[:10, :30, 3] == 0.5).all() and (shown.array[10:20, :30, 3] == 1).all()
    assert not shown.array[20:].any() and not shown.array[:, 30:].any()


def test_only_news_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mosaic_previews, "EVERY_S", 0.0)
    previews, collage = MosaicPreviews(_place()), _padded(40, 60)
    previews.watch({"collage": collage})
    assert previews.due() is None
    collage[:, :20] = 0.5
    assert previews.due() is not None and previews.due() is None
    collage[:, 20:] = 0.5
    assert previews.due() is not None
    monkeypatch.setattr(mosaic_previews, "EVERY_S", 60.0)
    collage[:] = -0.5
    assert previews.due() is None


def test_what_is_refined_replaces_the_collage() -> None:
    previews, collage, picture = MosaicPreviews(_place()), _padded(40, 60), _padded(40, 60)
    previews.watch({"collage": collage, "picture": picture})
    collage[:] = 0.5
    picture[:, :20] = -0.5
    shown = previews.layer()
    assert shown is not None
    np.testing.assert_allclose(shown.array[:20, :, :3], 0.25)
    np.testing.assert_allclose(shown.array[20:, :, :3], 0.75)


def test_large_mosaics_are_looked_at_here_and_there() -> None:
    size = (1400, 2100)
    frame = Picture(np.full((*size, 4), 255, np.uint8))
    previews = MosaicPreviews(Place(frame, np.ones(size, np.float32), None))
    previews.watch({"collage": np.full((3, 1408, 2112), 0.5, np.float32)})
    shown = previews.layer()
    assert shown is not None and shown.array.shape == (350, 525, 4)


def test_the_sketch_is_all_of_the_mosaic_and_tiles_replace_it() -> None:
    place = _place(400, 600)
    colours = [np.full((30, 30, 3), level, np.uint8) for level in (20, 120, 220)]
    source = PictureSource.from_arrays(colours)
    model = MosaicModel(build_network(small_mosaics.small_settings(), seed=1))
    previews = MosaicPreviews(place)
    ticks: list[int] = []
    previews.sketch(
        model, place, source.canvases(3, 0), Adjustment(), seed=0, tick=lambda: ticks.append(1)
    )
    sketch = previews.layer()
    assert sketch is not None and ticks
    assert sketch.array.shape == (400, 600, 4) and (sketch.array[..., 3] == 1).all()
    assert sketch.array[..., :3].min() > 0.05 and sketch.array[..., :3].max() < 0.9
    collage = _padded(400, 600)
    collage[:, :100] = 1.0
    previews.watch({"collage": collage})
    later = previews.layer()
    assert later is not None
    assert (later.array[:100] == 1).all()
    np.testing.assert_array_equal(later.array[100:], sketch.array[100:])


def test_a_long_mosaic_sends_a_sketch_and_what_is_composed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mosaic_parameters, "mosaic_settings", small_mosaics.small_settings)
    monkeypatch.setattr("intarsia_daemon.context.INTERVAL_S", 0.0)
    monkeypatch.setattr(mosaic_previews, "EVERY_S", 0.0)
    monkeypatch.setattr(mosaic_pictures, "SKETCHED_S", 0.0)
    small_mosaics.install_small_mosaic(tmp_path)
    seen: list[np.ndarray] = []

    def look(message: object) -> None:
        if isinstance(message, Working) and (shown := message.preview) is not None:
            raw = np.fromfile(shown.path, np.uint8)
            seen.append(raw.reshape(shown.height, shown.width, 4))

    context = direct_context(tmp_path, send=look)
    templates = [painting(20, 20, seed=n) for n in range(3)]
    inputs = {"picture": painting(200, 240), "templates": templates}
    (layer,) = run_directly(context, "mosaic", inputs, count=3).layers
    assert len(seen) > 1 and "sketch" in context.seconds
    assert all(one.shape == (200, 240, 4) and one.any() for one in seen)
    np.testing.assert_allclose(seen[-1], layer.array, atol=1)
