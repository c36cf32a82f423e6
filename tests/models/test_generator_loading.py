"""Folders of ours: the same generator comes back, and what is wrong is said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from small_generators import LABELS, small_generator
from torch.testing import assert_close

import intarsia_models
from intarsia_models.checkpoints import read_bundle, write_bundle
from intarsia_models.errors import DamagedCheckpoint, UnreadableModel
from intarsia_models.families.sngan.networks import SNGANGenerator
from intarsia_models.generators.families import known_families
from intarsia_models.generators.loading import (
    fingerprint,
    load_generator,
    save_generator,
    verify_generator,
)
from intarsia_models.projection.request import space_of


@pytest.fixture(name="made", scope="module")
def _made() -> SNGANGenerator:
    return small_generator()


@pytest.fixture(name="folder")
def _folder(made: SNGANGenerator, tmp_path: Path) -> Path:
    save_generator(made, tmp_path / "model", card={"licence": "CC0"})
    return tmp_path / "model"


def test_a_saved_generator_comes_back_with_its_companions(
    made: SNGANGenerator, folder: Path
) -> None:
    loaded = intarsia_models.load_generator(folder)
    z, y = made.sample_z(2, 3), torch.tensor([0, 2])
    assert_close(loaded.synthesize(z, y), made.synthesize(z, y), atol=1e-5, rtol=0)
    picture = made.synthesize(z, y)
    assert loaded.discriminator is not None and made.discriminator is not None
    assert_close(loaded.discriminator.features(picture), made.discriminator.features(picture))
    assert loaded.encoder is not None and made.encoder is not None
    assert_close(loaded.encoder(picture, y), made.encoder(picture, y))
    assert loaded.auxiliary is not None and made.auxiliary is not None
    assert loaded.labels == LABELS and not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())


def test_half_the_bytes_make_nearly_the_same_picture(
    made: SNGANGenerator, folder: Path, tmp_path: Path
) -> None:
    save_generator(made, tmp_path / "half", dtype=torch.float16)
    sizes = [
        (place / "weights.safetensors").stat().st_size for place in (folder, tmp_path / "half")
    ]
    assert sizes[1] < 0.6 * sizes[0]
    z, y = made.sample_z(1, 3), torch.tensor([1])
    loaded = load_generator(tmp_path / "half")
    assert next(iter(loaded.parameters())).dtype == torch.float32
    assert_close(loaded.synthesize(z, y), made.synthesize(z, y), atol=0.02, rtol=0)
    assert verify_generator(tmp_path / "half") < 1e-3


def test_a_model_may_say_where_pictures_are_looked_for(tmp_path: Path) -> None:
    made = small_generator()
    assert space_of(made, "auto") == "extended"
    made.projection_space = "z"
    save_generator(made, tmp_path / "model")
    loaded = load_generator(tmp_path / "model")
    assert space_of(loaded, "auto") == "z" and space_of(loaded, "extended") == "extended"


def test_the_card_says_what_it_is(folder: Path) -> None:
    card = json.loads((folder / "card.json").read_text())
    assert card["family"] == "sngan-projection" and card["licence"] == "CC0"
    assert card["resolution"] == 32 and card["labels"] == list(LABELS)
    assert card["companions"] == ["discriminator", "encoder", "auxiliary"]


def test_verify_finds_other_weights(folder: Path) -> None:
    assert verify_generator(folder) < 1e-3
    bundle = read_bundle(folder)
    tensors = dict(bundle.tensors)
    name = "generator.output.bias"
    tensors[name] = tensors[name] + 1.0
    write_bundle(folder, tensors, bundle.card)  # a whole bundle, its sample of another model
    with pytest.raises(UnreadableModel, match="another picture"):
        verify_generator(folder)


def test_changed_bytes_are_refused(folder: Path) -> None:
    with (folder / "weights.safetensors").open("r+b") as file:
        file.seek(-4, 2)
        file.write(b"\xff\xff\xff\xff")
    with pytest.raises(DamagedCheckpoint, match="changed"):
        load_generator(folder)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"family": "nobody"}, "no generator family 'nobody'"),
        ({"settings": None}, "no settings"),
        ({"form": 99}, "newer release"),
        ({"labels": ["only one"]}, "1 labels were given for 4 classes"),
    ],
)
def test_a_card_that_does_not_fit_is_refused(
    folder: Path, change: dict[str, object], words: str
) -> None:
    bundle = read_bundle(folder)
    write_bundle(folder, bundle.tensors, {**bundle.card, **change})
    with pytest.raises(UnreadableModel, match=words):
        load_generator(folder)


def test_missing_and_misshapen_tensors_are_refused(folder: Path) -> None:
    bundle = read_bundle(folder)
    missing = {n: t for n, t in bundle.tensors.items() if n != "generator.output.bias"}
    write_bundle(folder, missing, bundle.card)
    with pytest.raises(UnreadableModel, match="do not fit"):
        load_generator(folder)
    write_bundle(folder, {**missing, "generator.output.bias": torch.zeros(9)}, bundle.card)
    with pytest.raises(UnreadableModel, match="do not fit"):
        load_generator(folder)


def test_a_folder_of_ours_takes_no_companion_files(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no companion files"):
        load_generator(folder, encoder=tmp_path / "encoder.npz")


def test_a_file_of_no_family_names_the_formats(tmp_path: Path) -> None:
    torch.save({"weights": torch.zeros(3)}, tmp_path / "mystery.pth")
    with pytest.raises(UnreadableModel, match="Known are"):
        load_generator(tmp_path / "mystery.pth")


def test_labels_may_be_given(folder: Path) -> None:
    assert load_generator(folder, labels=list("abcd")).label_of(2) == "c"
    with pytest.raises(UnreadableModel, match="3 labels were given for 4"):
        load_generator(folder, labels=list("abc"))


def test_a_fingerprint_tells_weights_apart(made: SNGANGenerator, folder: Path) -> None:
    assert fingerprint(load_generator(folder)) == fingerprint(made)
    assert fingerprint(small_generator(classes=False)) != fingerprint(made)


def test_every_family_has_a_name_a_paper_and_formats() -> None:
    for name, family in known_families().items():
        assert family.name == name and family.paper and family.formats
