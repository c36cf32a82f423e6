"""Models of parts in use: from pieces to wholes, to features, to disk and back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.testing import assert_close

from intarsia_models.errors import (
    DamagedCheckpoint,
    ModelsError,
    UnreadableModel,
    UnsuitablePicture,
)
from intarsia_models.key_patches.model import KeyPatchModel, load_key_patches
from intarsia_models.key_patches.networks import PartCritic, PartGenerator
from intarsia_models.key_patches.patches import (
    Degradation,
    Part,
    cut_patches,
    degraded,
    filled_up,
    part_input,
    shrunk_boxes,
)
from intarsia_models.key_patches.retrieval import nearest_pictures
from intarsia_models.key_patches.settings import KeyPatchSettings
from intarsia_models.key_patches.wholes import likeness, made_wholes, shown


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def _source(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _model(*, critic: bool = True, scale: float = 8.0, **changes: object) -> KeyPatchModel:
    """Small networks whose weights are large enough that parts make a difference."""
    values = {"width": 4, "critic_width": 2, "embedding": 6, **changes}
    settings = KeyPatchSettings(**values)  # pyright: ignore[reportArgumentType]
    generator = PartGenerator(settings)
    with torch.no_grad():
        for parameter in generator.parameters():
            parameter.mul_(scale if parameter.ndim == 4 else 1.0)
    return KeyPatchModel(
        generator, PartCritic(settings) if critic else None, labels=("coat", "hat")
    )


def _parts(count: int) -> list[Part]:
    return [Part(_random(1, 3, 20 + 9 * number, 30, seed=number)) for number in range(count)]


# --- parts as the networks see them


def test_cut_patches_are_resized_as_pillow_does() -> None:
    levels = (_random(1, 3, 64, 64) * 127 + 128).byte()
    box = (5, 9, 22, 17)
    patch = cut_patches(levels.float() / 127.5 - 1, torch.tensor([[box]]), 64)[0, 0]
    for channel in range(3):
        plane = Image.fromarray(levels[0, channel].numpy().astype(np.float32), mode="F")
        cut = plane.crop((5, 9, 27, 26)).resize((64, 64), Image.Resampling.BICUBIC)
        expected = torch.from_numpy(np.array(cut)) / 127.5 - 1
        assert_close(patch[channel], expected.clamp(-1, 1), atol=2e-4, rtol=0)


def test_a_part_is_seen_as_the_same_box_of_its_picture() -> None:
    picture = _random(1, 3, 64, 64)
    piece = Part(picture[:, :, 10:30, 7:31])
    cut = cut_patches(picture, torch.tensor([[[7, 10, 24, 20]]]), 64)
    assert torch.equal(part_input(piece, 64), cut[:, 0])


def test_transparent_borders_are_cut_off() -> None:
    colours = _random(1, 3, 20, 20)
    alpha = torch.zeros(1, 1, 20, 20)
    alpha[..., 4:14, 6:16] = 1
    inner = Part(colours[..., 4:14, 6:16])
    assert_close(part_input(Part(colours, alpha), 64), part_input(inner, 64))


def test_holes_get_the_mean_colour_of_what_covers() -> None:
    colours = torch.full((1, 3, 16, 16), 0.5)
    colours[..., 8:] = -0.1
    colours[..., 6:10, 6:10] = 0.9  # below the hole: must not show
    alpha = torch.ones(1, 1, 16, 16)
    alpha[..., 6:10, 6:10] = 0
    seen = part_input(Part(colours, alpha), 16)
    assert float(seen[..., 7, 7].mean()) == pytest.approx((0.5 - 0.1) / 2, abs=1e-6)
    assert float(seen[..., 0, 0].mean()) == pytest.approx(0.5, abs=1e-6)


def test_empty_and_strange_parts_are_refused() -> None:
    colours = torch.zeros(1, 3, 8, 8)
    with pytest.raises(UnsuitablePicture, match="all of it is transparent"):
        part_input(Part(colours, torch.zeros(1, 1, 8, 8)), 64)
    for part, sentence in (
        (Part(colours[0]), r"must be \(1, 3, h, w\)"),
        (Part(colours / 0), "must be finite"),
        (Part(colours, torch.ones(1, 1, 4, 8)), r"alpha of a part must be \(1, 1, 8, 8\)"),
        (Part(colours, torch.full((1, 1, 8, 8), 2.0)), r"must lie in \[0, 1\]"),
    ):
        with pytest.raises(ValueError, match=sentence):
            part_input(part, 64)


def test_boxes_outside_their_picture_are_refused() -> None:
    with pytest.raises(ValueError, match="does not lie within a picture of 64 x 64"):
        cut_patches(torch.zeros(1, 3, 64, 64), torch.tensor([[[50, 0, 20, 20]]]), 64)


def test_noise_has_the_deviation_it_was_asked_for() -> None:
    patches = torch.zeros(2, 3, 3, 64, 64)
    noisy = degraded(patches, Degradation(noise=0.1), _source())
    assert float(noisy.std()) == pytest.approx(0.1, rel=0.02)
    assert torch.equal(noisy, degraded(patches, Degradation(noise=0.1), _source()))
    assert torch.equal(degraded(patches, Degradation(), _source()), patches)


def test_smaller_parts_keep_their_middle() -> None:
    patches = _random(1, 2, 3, 64, 64)
    small = degraded(patches, Degradation(shrink=0.5), _source())
    middle = cut_patches(patches[0], torch.tensor([[[16, 16, 32, 32]]] * 2), 64)
    assert_close(small[0], middle[:, 0])
    boxes = torch.tensor([[[10, 20, 20, 30]]])
    assert shrunk_boxes(boxes, 0.5).tolist() == [[[15, 27, 10, 15]]]


def test_every_part_counts_before_one_counts_twice() -> None:
    for seed in range(20):
        chosen = filled_up(2, 5, _source(seed))
        assert len(chosen) == 5 and set(chosen) == {0, 1}
        assert chosen[:2] == [0, 1]
    assert len({tuple(filled_up(2, 5, _source(seed))) for seed in range(20)}) > 2


# --- wholes


def test_the_same_parts_and_seed_make_the_same_whole_in_any_order() -> None:
    model, parts = _model(), _parts(3)
    made = model.assemble(parts, seed=4)
    assert made.picture.shape == (1, 3, 64, 64) and made.patches.shape == (3, 3, 64, 64)
    assert made.placement is not None and made.placement.shape == (1, 1, 64, 64)
    assert torch.equal(made.picture, model.assemble(parts, seed=4).picture)
    turned = model.assemble(parts[::-1], seed=4)
    assert_close(turned.picture, made.picture, atol=1e-5, rtol=0)
    other = model.assemble([*parts[:2], Part(_random(1, 3, 40, 40, seed=9))], seed=4)
    assert float((other.picture - made.picture).abs().max()) > 1e-3


def test_fewer_parts_are_repeated_and_a_model_that_never_saw_it_says_so() -> None:
    parts = _parts(2)
    made = _model().assemble(parts, seed=1)
    seen = torch.cat([part_input(part, 64) for part in parts])
    assert torch.equal(made.patches[:2], seen)
    assert any(torch.equal(made.patches[2], one) for one in seen)
    assert "learnt from 3 different parts and got 2" in made.notes[0]
    assert _model(variable_parts=True).assemble(parts, seed=1).notes == []
    assert _model().assemble(_parts(3)).notes == []


def test_random_numbers_come_from_the_seed() -> None:
    model, parts = _model(z_dim=4), _parts(3)
    first, again, other = (model.assemble(parts, seed=seed).picture for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert float((first - other).abs().max()) > 1e-4
    z = model.sample_z(500, 0)
    assert z is not None and float(z.abs().max()) <= 1.0
    assert float(z.std()) == pytest.approx(3**-0.5, rel=0.05)  # U(-1, 1)


def test_degraded_parts_make_another_whole() -> None:
    model, parts = _model(), _parts(3)
    clean = model.assemble(parts)
    noisy = model.assemble(parts, degradation=Degradation(noise=0.5))
    assert torch.equal(model.assemble(parts, degradation=Degradation()).picture, clean.picture)
    assert float((noisy.patches - clean.patches).std()) > 0.2


def test_no_part_and_too_many_are_refused() -> None:
    for count in (0, 4):
        with pytest.raises(
            ValueError, match=f"takes at most 3 parts and at least one, got {count}"
        ):
            _model().assemble(_parts(count))


def test_many_wholes_at_once_are_those_made_alone() -> None:
    model = _model()
    patches = _random(70, 3, 3, 64, 64)  # more than a batch
    pictures, placements = model.generate(patches)
    for index in (0, 69):
        picture, placement = model.generate(patches[index : index + 1])
        assert_close(pictures[index : index + 1], picture, atol=1e-5, rtol=0)
        assert placements is not None and placement is not None
        assert_close(placements[index : index + 1], placement, atol=1e-5, rtol=0)


# --- features


def test_features_are_the_critics_last_layer() -> None:
    model = _model()
    assert model.critic is not None and model.critic.score.bias is not None
    pictures = _random(2, 3, 64, 64)
    found = model.features(pictures)
    assert found.shape == (2, 16 * 16)  # 2 << 3 channels at 4 x 4 places
    logits = found.view(2, 16, 4, 4) * model.critic.score.weight
    expected = (logits.sum((1, 2, 3)) + model.critic.score.bias).sigmoid()
    assert_close(model.scores(pictures), expected, atol=1e-5, rtol=1e-4)
    assert model.features(_random(1, 3, 40, 90)).shape == (1, 256)


def test_a_model_without_critic_has_no_features() -> None:
    model = _model(critic=False)
    assert model.capabilities == ("key_patches",)
    assert _model().capabilities == ("key_patches", "features")
    with pytest.raises(ModelsError, match="has no critic"):
        model.features(_random(1, 3, 64, 64))


# --- on disk


@pytest.mark.parametrize("changes", [{}, {"structure": "no_mask"}, {"z_dim": 3, "kernel": 5}])
def test_a_saved_model_makes_the_same(tmp_path: Path, changes: dict[str, Any]) -> None:
    model, patches = _model(**changes), _random(2, 3, 3, 64, 64)
    model.save(tmp_path / "m", extra={"title": "Clothes"})
    loaded = load_key_patches(tmp_path / "m")
    z = model.sample_z(2, 0)
    assert torch.equal(loaded.generate(patches, z)[0], model.generate(patches, z)[0])
    assert torch.equal(loaded.features(patches[:, 0]), model.features(patches[:, 0]))
    assert loaded.settings == model.settings and loaded.labels == ("coat", "hat")
    card = json.loads((tmp_path / "m" / "card.json").read_text())
    assert card["task"] == "key_patches" and card["title"] == "Clothes"
    assert loaded.card()["title"] == "Clothes"
    assert not loaded.generator.training


def test_half_precision_changes_little(tmp_path: Path) -> None:
    model, patches = _model(), _random(2, 3, 3, 64, 64)
    model.save(tmp_path / "m", dtype=torch.float16)
    made = KeyPatchModel.load(tmp_path / "m").generate(patches)[0]
    assert_close(made, model.generate(patches)[0], atol=0.02, rtol=0)


def test_other_and_damaged_models_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "m"
    with pytest.raises(UnreadableModel, match="holds no model"):
        load_key_patches(folder)
    _model().save(folder)
    for field, value, sentence in (
        ("family", "other", "model of family 'other'"),
        ("format", 99, "written by a newer version: format 99"),
        ("settings", {"width": 5}, "not a whole model of parts"),
        ("settings", {"resolution": 1 << 40}, "not a whole model of parts"),
    ):
        _model().save(folder, extra={})
        _rewrite(folder, field, value)
        with pytest.raises(UnreadableModel, match=sentence):
            load_key_patches(folder)
    _model().save(folder)
    weights = folder / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\0")
    with pytest.raises(DamagedCheckpoint):
        load_key_patches(folder)


def _rewrite(folder: Path, field: str, value: object) -> None:
    from intarsia_models.checkpoints import read_bundle, write_bundle

    bundle = read_bundle(folder)
    write_bundle(folder, bundle.tensors, {**bundle.card, field: value})


# --- how near wholes come


def test_wholes_are_measured_at_the_places_of_their_parts() -> None:
    model = _model()
    pixels = (_random(3, 3, 64, 64) * 127 + 128).byte()
    wholes = made_wholes(model, pixels)
    made, real, placement = wholes.generated, wholes.real, wholes.placement
    assert placement is not None
    found = likeness(wholes)
    expected = (made * placement - real * wholes.boxes).abs().mean()
    assert found.appearance == pytest.approx(float(expected), rel=1e-5)
    assert found.placement == pytest.approx(float((placement - wholes.boxes).abs().mean()))
    assert found.overlap is not None and 0.0 <= found.overlap <= 1.0
    assert shown(wholes).shape == (1, 3, 7 * 64, 3 * 64)


def test_one_part_fills_all_places_and_random_ones_are_others() -> None:
    model = _model()
    pixels = (_random(3, 3, 64, 64) * 127 + 128).byte()
    alone = made_wholes(model, pixels, unique=1)
    assert torch.equal(alone.patches[:, 0], alone.patches[:, 2])
    assert torch.equal(alone.patches[:, 0], made_wholes(model, pixels).patches[:, 0])
    elsewhere = made_wholes(model, pixels, choice="random")
    assert not torch.equal(elsewhere.patches, made_wholes(model, pixels).patches)
    small = made_wholes(model, pixels, degradation=Degradation(shrink=0.5))
    assert float(small.boxes.mean()) < 0.4 * float(made_wholes(model, pixels).boxes.mean())
    with pytest.raises(ValueError, match=r"unique must lie in \[1, 3\], got 4"):
        made_wholes(model, pixels, unique=4)


# --- the nearest real picture


def test_the_nearest_picture_is_looked_for_within_the_boxes_only() -> None:
    pool = torch.full((300, 3, 8, 8), 255, dtype=torch.uint8)
    pool[270, :, :, 4:] = 10  # right half near, left half far
    real = torch.full((1, 3, 8, 8), 10 / 127.5 - 1)
    boxes = torch.zeros(1, 1, 8, 8)
    boxes[..., 4:] = 1
    assert nearest_pictures(real, boxes, pool).tolist() == [270]
    assert nearest_pictures(real, 1 - boxes, pool).tolist() == [0]  # all as far: the first


def test_squares_punish_one_large_difference_more() -> None:
    pool = torch.zeros(2, 3, 2, 2, dtype=torch.uint8)
    pool[0, :, 0, 0] = 100  # one pixel far off
    pool[1] = 30  # all somewhat off: more in sum, less in squares
    real, boxes = torch.full((1, 3, 2, 2), -1.0), torch.ones(1, 1, 2, 2)
    assert nearest_pictures(real, boxes, pool, distance="l1").tolist() == [0]
    assert nearest_pictures(real, boxes, pool, distance="l2").tolist() == [1]
    with pytest.raises(ValueError, match="P at least 1"):
        nearest_pictures(real, boxes, pool[:0])
    with pytest.raises(ValueError, match="distance must be"):
        nearest_pictures(real, boxes, pool, distance="l3")  # pyright: ignore[reportArgumentType]
