"""The commands of the trainings: a whole pack from a folder, on networks of a few channels."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from intarsia_models.checkpoints import file_hash
from intarsia_models.gan_training.commands import command_line, main
from intarsia_models.generators.loading import load_generator, verify_generator

SMALL = (
    "width=4",
    "critic_width=4",
    "small=true",
    "z_dim=8",
    "batch=4",
    "iterations=2",
    "precision=float32",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for label, colour in (("lemon", (250, 220, 10)), ("apple_green", (20, 160, 30))):
        (tmp_path / "set" / label).mkdir(parents=True)
        for number in range(5):
            Image.new("RGB", (40, 36), colour).save(tmp_path / "set" / label / f"{number}.png")
    return tmp_path / "set"


def settings(option: str, *values: str) -> list[str]:
    return [part for value in values for part in (option, value)]


def test_one_command_makes_a_pack_that_loads_with_all_networks(
    folder: Path, tmp_path: Path
) -> None:
    pack = tmp_path / "produce"
    attribution = tmp_path / "who.txt"
    attribution.write_text("Pictures by nobody.")
    arguments = [
        "pack",
        str(folder),
        *("--out", str(tmp_path / "out"), "--pack", str(pack), "--resolution", "32"),
        *("--title", "Two kinds of fruit", "--licence", "MIT", "--attribution", str(attribution)),
        *("--examples", "2"),
        *settings("--set", *SMALL),
        *settings("--encoder-set", "width=4", "batch=4", "iterations=2", "precision=float32"),
        *settings("--auxiliary-set", "hidden=8", "extended_dim=12", "batch=2", "iterations=2"),
    ]
    done = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    generator = load_generator(pack / "model")
    assert generator.labels == ("apple green", "lemon")
    assert generator.discriminator is not None
    assert generator.encoder is not None
    assert generator.auxiliary is not None
    z = generator.encoder(torch.zeros(1, 3, 32, 32), torch.tensor([1]))
    assert generator.auxiliary(z).shape == (1, 8)
    verify_generator(pack / "model")
    card = json.loads((pack / "card.json").read_text())
    assert card["licence"] == "MIT"
    assert card["num_classes"] == 2
    for name, entry in card["files"].items():
        assert entry["sha256"] == file_hash(pack / "model" / name)
    assert "Pictures by nobody." in (pack / "ATTRIBUTION.md").read_text()
    assert "lemon" in (pack / "README.md").read_text()
    assert len(list((pack / "pictures" / "apple_green").glob("*.png"))) == 2
    assert {path.name for path in pack.glob("*.png")} == {
        "samples.png",
        "thumbnail.png",
        "curves_generator.png",
        "curves_encoder.png",
        "curves_auxiliary.png",
    }
    assert list((tmp_path / "out" / "tensorboard").glob("events*"))


def test_a_setting_that_is_not_there_is_named(folder: Path, tmp_path: Path) -> None:
    arguments = ["gan", str(folder), "--out", str(tmp_path / "out"), "--set", "depth=3"]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 2
    assert "'depth'" in done.output


def test_a_folder_without_pictures_ends_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    arguments = ["gan", str(tmp_path / "empty"), "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 1
    assert "holds no pictures" in done.output


def test_a_shown_command_names_no_folders_of_this_machine() -> None:
    shown = command_line(
        ["gan", "/home/me/set.zip", "--out", "/home/me/runs/out", "--set", "width=4"]
    )
    assert shown == "python -m intarsia_models.gan_training gan set.zip --out out --set width=4"
