"""The commands of regressors: for any model, and into a pack that is already there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image
from small_generators import LABELS, RESOLUTION, install_small_generator, small_generator

from intarsia_models.checkpoints import file_hash
from intarsia_models.errors import ModelsError
from intarsia_models.gan_training.packs import PackFacts, write_pack
from intarsia_models.generators.loading import (
    fingerprint,
    load_generator,
    save_generator,
    verify_generator,
)
from intarsia_models.latent_composition.commands import main
from intarsia_models.latent_composition.pack_regressors import HEADING, add_regressor
from intarsia_models.latent_composition.training import train_regressor
from intarsia_models.latent_composition.training_settings import RegressorTraining

QUICK = ("width=4", "batch=4", "iterations=2", "precision=float32")


def _run(*arguments: object) -> str:
    done = CliRunner().invoke(main, [str(part) for part in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def _settings(*values: str) -> list[str]:
    return [part for value in values for part in ("--set", value)]


@pytest.fixture(name="pack")
def _pack(tmp_path: Path) -> Path:
    folder = tmp_path / "fruit"
    training = {"training": {"iterations": 1, "batch": 2}, "training_seconds": 60.0, "losses": {}}
    facts = PackFacts(
        title="Fruit",
        licence="CC0",
        attribution="Nobody's.",
        commands=["make it"],
        trainings={"generator": training},
        device="a desk",
    )
    write_pack(folder, small_generator(), facts)
    for number, label in enumerate(LABELS):
        (folder / "pictures" / label).mkdir(parents=True)
        for index in range(3):
            picture = Image.new("RGB", (RESOLUTION, RESOLUTION), (60 * number, 80 * index, 90))
            picture.save(folder / "pictures" / label / f"{index}.png")
    return folder


def test_a_model_gets_a_regressor_and_a_second_run_trains_nothing_anew(tmp_path: Path) -> None:
    save_generator(small_generator(companions=False), tmp_path / "model")
    arguments = ["train", "--model", tmp_path / "model", "--out", tmp_path / "out"]
    output = _run(*arguments, *_settings(*QUICK))
    assert "vgg16-397923af.pth" in output
    first = (tmp_path / "out" / "model" / "regressor.safetensors").read_bytes()
    assert load_generator(tmp_path / "out" / "model").regressor is not None
    card = json.loads((tmp_path / "out" / "model" / "card.json").read_text())
    assert card["regressor"]["training"]["iterations"] == 2
    _run(*arguments, *_settings(*QUICK))
    assert (tmp_path / "out" / "model" / "regressor.safetensors").read_bytes() == first


def test_a_wrong_setting_or_model_is_said_in_a_sentence(tmp_path: Path) -> None:
    save_generator(small_generator(companions=False), tmp_path / "model")
    arguments = ["train", "--model", str(tmp_path / "model"), "--out", str(tmp_path / "out")]
    wrong = CliRunner().invoke(main, [*arguments, "--set", "rates=1"])
    assert wrong.exit_code == 2 and "There is no setting 'rates'" in wrong.output
    nothing = ["train", "--model", str(tmp_path / "none"), "--out", str(tmp_path / "out")]
    missing = CliRunner().invoke(main, nothing)
    assert missing.exit_code == 1 and "none" in missing.output


def test_a_pack_gets_a_regressor_and_keeps_its_generator_to_the_byte(
    pack: Path, tmp_path: Path
) -> None:
    weights = (pack / "model" / "weights.safetensors").read_bytes()
    before = fingerprint(load_generator(pack / "model"))
    shared = ("--pictures", pack / "pictures", "--set", "real_share=0.5")
    for device in ("one desk", "another desk"):
        arguments = ["pack", "--pack", pack, "--out", tmp_path / "out", *shared]
        _run(*arguments, "--device-name", device, *_settings(*QUICK))
    assert (pack / "model" / "weights.safetensors").read_bytes() == weights
    loaded = load_generator(pack / "model")
    assert fingerprint(loaded) == before and loaded.regressor is not None
    verify_generator(pack / "model")
    card = json.loads((pack / "card.json").read_text())
    assert "regressor" in card["capabilities"] and "regressor.safetensors" in card["files"]
    for name, entry in card["files"].items():
        assert entry["sha256"] == file_hash(pack / "model" / name)
    own = json.loads((pack / "model" / "card.json").read_text())
    assert own["licence"] == "CC0" and own["device"] == "a desk"
    assert own["regressor_device"] == "another desk"
    assert own["commands"][0] == "make it" and len(own["commands"]) == 2
    assert {of for of in own["regressor_metrics"]} == {"generated", "held out"}
    assert card["seconds"] == pytest.approx(
        60.0 + own["trainings"]["regressor"]["training_seconds"]
    )


def test_the_readme_tells_of_the_newest_regressor_once(pack: Path, tmp_path: Path) -> None:
    for device in ("one desk", "another desk"):
        arguments = ["pack", "--pack", pack, "--out", tmp_path / "out", "--device-name", device]
        _run(*arguments, *_settings(*QUICK))
    text = (pack / "README.md").read_text()
    assert text.count(HEADING) == 1 and "another desk" in text and "one desk" not in text
    assert text.index(HEADING) < text.index("## Licence") and text.startswith("# Fruit")
    for name in ("regressor_generated.png", "regressor_held_out.png", "curves_regressor.png"):
        assert (pack / name).is_file() and name in text
    with Image.open(pack / "regressor_held_out.png") as picture:
        assert picture.size == (8 * RESOLUTION, 8 * RESOLUTION)


def test_a_pack_takes_no_regressor_of_another_generator(pack: Path) -> None:
    other = small_generator(classes=False)
    settings = RegressorTraining(width=4, batch=4, iterations=1, precision="float32")
    trained = train_regressor(other, settings)
    with pytest.raises(ModelsError, match="another generator"):
        add_regressor(pack, trained, command="", device="")
    assert not (pack / "model" / "regressor.safetensors").exists()


def test_the_stores_card_says_that_a_model_has_a_regressor(tmp_path: Path) -> None:
    model = install_small_generator(tmp_path, companions=False, regressor=True)
    card = json.loads((tmp_path / "models" / model / "card.json").read_text())
    assert "regressor" in card["capabilities"]
    assert load_generator(tmp_path / "models" / model / "model").regressor is not None
