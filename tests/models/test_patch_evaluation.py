"""The measurement of key patches: it runs from pictures to the page, and finds trainings again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from intarsia_models.errors import UnsuitablePicture
from intarsia_models.evaluation import part_features, patch_run
from intarsia_models.evaluation.page import section
from intarsia_models.evaluation.patch_report import HEADING
from intarsia_models.evaluation.patch_run import measure_patches, settings_of
from intarsia_models.evaluation.patch_trainings import train_all
from intarsia_models.evaluation.plain_gan import critic_features, train_plain_gan
from intarsia_models.gan_training import PictureSet, read_pictures
from intarsia_models.key_patches.training_settings import key_patch_training

FACTS = {"command": "python it", "device": "one core", "date": "today"}


@pytest.fixture(name="pictures", scope="module")
def _pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three kinds of pictures in two splits: stripes of one direction or the other, and noise."""
    folder = tmp_path_factory.mktemp("labelled")
    random = np.random.default_rng(0)
    lines = ["path,label,split"]
    for split, count in (("train", 8), ("val", 8)):
        for number in range(3 * count):
            kind = ("across", "down", "noise")[number % 3]
            array = random.integers(0, 255, (64, 64, 3), dtype=np.uint8)
            if kind != "noise":
                array[(np.indices((64, 64))[int(kind == "down")] // 8) % 2 == 0] = 255
            name = f"{split}-{number}.png"
            Image.fromarray(array).save(folder / name)
            lines.append(f"{name},{kind},{split}")
    (folder / "labels.csv").write_text("\n".join(lines))
    return folder


def test_the_measurement_writes_its_section_and_finds_its_trainings_again(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patch_run, "LOOK_ITERATIONS", 1)
    monkeypatch.setattr("intarsia_models.key_patches.training.SETTLING_BATCHES", 1)
    monkeypatch.setattr(part_features, "COSTS", (1e-3,))
    page = tmp_path / "docs" / "results.md"
    page.parent.mkdir()
    page.write_text("# Results\n\n## Another\n\nStays.\n")
    said: list[str] = []
    kept = tmp_path / "kept"
    sizes: dict[str, Any] = {"width": 2, "batch": 2, "iterations": 1}
    measure_patches(
        pictures, ["across", "down"], page.parent, FACTS, kept=kept, say=said.append, **sizes
    )
    assert len([text for text in said if text.startswith("training")]) == 6
    own = read_pictures(pictures, 64, classes=("across", "down"))
    again: list[str] = []
    train_all(own, settings_of(len(own), 64, **sizes), folder=kept, say=again.append)
    assert not again
    text = section(page, HEADING.removeprefix("## "))
    assert "Stays." in page.read_text() and page.read_text().count(HEADING) == 1
    shown = [line.split("(")[1].rstrip(")") for line in text.splitlines() if line.startswith("![")]
    assert len(shown) == 4 and all((page.parent / name).stat().st_size for name in shown)
    rows = [line for line in text.splitlines() if line.startswith("| no mask network")]
    assert rows[0].split("|")[4].strip() == ""  # it places nothing
    assert "16 others to measure with" in text.replace("\n", " ")


def test_all_classes_cannot_be_told_from_the_others(pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(UnsuitablePicture, match="across, down, noise"):
        measure_patches(pictures, ["across", "down", "noise"], tmp_path, FACTS)


def test_a_gan_without_parts_has_the_same_critic_and_a_seed() -> None:
    source = torch.Generator().manual_seed(1)
    pixels = torch.randint(0, 256, (9, 3, 64, 64), dtype=torch.uint8, generator=source)
    data = PictureSet(pixels, torch.zeros(9, dtype=torch.int64), (), tuple("abcdefghi"))
    settings = key_patch_training("draft", width=2, critic_width=2, batch=2, iterations=3)
    one, other = (train_plain_gan(data, settings) for _ in range(2))
    x = pixels[:3].float() / 127.5 - 1.0
    assert torch.equal(critic_features(one, x), critic_features(other, x))
    assert critic_features(one, x).shape == (3, 16 * 16) and one.settings == settings.networks()


def test_a_machine_tells_what_a_line_can_tell() -> None:
    random = np.random.default_rng(0)
    y = np.arange(60) % 2 == 0
    x = random.normal(size=(60, 5)) + 4.0 * y[:, None]
    noise = random.normal(size=(60, 5))
    assert part_features._accuracy([x[:40], x[40:]], [y[:40], y[40:]], 0) == 1.0
    assert part_features._accuracy([noise[:40], noise[40:]], [y[:40], y[40:]], 0) < 0.9
