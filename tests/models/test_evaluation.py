"""What packs are measured with: classifier, edits, measures, and the page."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from intarsia_models.errors import UnreadableModel
from intarsia_models.evaluation.classifier import (
    accuracy,
    load_classifier,
    save_classifier,
    train_classifier,
)
from intarsia_models.evaluation.edits import as_difference, as_model_output, central_area, pasted
from intarsia_models.evaluation.experiments import calibration, choose, relabelling
from intarsia_models.evaluation.measures import change, shows, steps_to, structure_kept
from intarsia_models.evaluation.report import write_report
from intarsia_models.families.sngan.networks import (
    AuxiliarySettings,
    DiscriminatorSettings,
    EncoderSettings,
    GeneratorSettings,
    SNGANAuxiliary,
    SNGANDiscriminator,
    SNGANEncoder,
    SNGANGenerator,
)
from intarsia_models.gan_training import PictureSet
from intarsia_models.generators.generator import Generator

LABELS = ("lemon", "lime", "plum")


def pictures(count: int = 12) -> PictureSet:
    source = torch.Generator().manual_seed(5)
    y = torch.arange(count) % 3
    colours = torch.tensor([[220, 200, 20], [40, 180, 60], [120, 20, 140]])[:, :, None, None]
    noise = torch.randint(0, 30, (count, 3, 32, 32), generator=source)
    return PictureSet((colours[y] + noise).to(torch.uint8), y, LABELS, ())


@pytest.fixture(scope="module")
def generator() -> Generator:
    made = SNGANGenerator(GeneratorSettings((4, 4, 4, 4), 3, z_dim=8))
    made.discriminator = SNGANDiscriminator(DiscriminatorSettings((4, 4), (True, True), 3))
    made.encoder = SNGANEncoder(EncoderSettings((4, 4, 4, 4), 3, z_dim=8))
    made.auxiliary = SNGANAuxiliary(AuxiliarySettings(8, 8, 12, 8))
    made.labels = LABELS
    return made.eval().requires_grad_(False)


def test_the_classifier_learns_what_a_colour_tells(tmp_path: Path) -> None:
    data = pictures(24)
    model = train_classifier(data, iterations=40)
    x = data.pixels.float() / 127.5 - 1
    assert accuracy(model, x, data.y) == (1.0, 1.0)
    save_classifier(model, tmp_path / "classifier", {"accuracy": 1.0})
    loaded, card = load_classifier(tmp_path / "classifier")
    assert card["accuracy"] == 1.0
    assert torch.allclose(loaded(x), model(x), atol=0.05)
    area = central_area(32)
    assert shows(model, x[:1], area) == 0
    with pytest.raises(UnreadableModel):
        load_classifier(tmp_path)


def test_the_area_is_a_soft_square_in_the_middle() -> None:
    area = central_area(32)
    assert area[0, 0, 16, 16] == 1.0
    assert area[0, 0, 0, 0] == 0.0
    assert 0.2 < float(area.mean()) < 0.3
    assert torch.equal(area, area.flip(2, 3))


def test_changes_are_measured_inside_and_outside() -> None:
    area = central_area(32)
    before = torch.zeros(1, 3, 32, 32)
    after = before + 0.2 * (area > 0.95)
    inside, outside = change(before, after, area)
    assert inside == pytest.approx(0.2 * 127.5)
    assert outside == 0.0


def test_forms_that_stay_correlate() -> None:
    area = central_area(32)
    picture = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert structure_kept(picture, picture * 0.5 + 0.1, area) == pytest.approx(1.0)
    assert structure_kept(picture, -picture, area) == pytest.approx(-1.0)


def test_steps_to_a_loss_count_the_best_so_far() -> None:
    assert steps_to([3.0, 1.0, 2.0, 0.5], 1.0) == 1
    assert steps_to([3.0, 1.0, 2.0, 0.5], 0.6) == 3
    assert steps_to([3.0, 1.0], 0.1) is None


def test_every_class_is_edited_in_turn_and_becomes_another() -> None:
    chosen = choose(pictures(), 9, seed=1)
    assert [y for _, y, _, _ in chosen] == [0, 1, 2] * 3
    assert all(y != target for _, y, target, _ in chosen)


def test_a_page_with_all_experiments_is_written(tmp_path: Path, generator: Generator) -> None:
    model = train_classifier(pictures(24), iterations=10)
    found = relabelling(generator, model, pictures(), samples=3, steps=2, seed=0)
    calibrated = calibration(generator, pictures(), samples=2, steps=3, seed=0)
    case, area = found.cases[0], central_area(32)
    other = torch.ones(1, 3, 32, 32)
    outside = area == 0
    for made in (as_difference, as_model_output):
        result = made(case, other, area)
        assert torch.equal(result.where(outside, other), case.picture.where(outside, other))
    middle = pasted(case, other, area)[0, :, 16, 16]
    assert torch.equal(middle, torch.ones(3))
    assert {"no edit", "real picture pasted"} <= set(found.methods)
    assert {"all layers", "first layer", "all but the first"} <= set(found.layers)
    for trials in (*found.methods.values(), *found.layers.values()):
        assert len(trials) == 3
    assert all(trial.outside == 0 for trial in found.methods["real picture pasted"])
    facts = {
        "pack": "tiny",
        "command": "x",
        "device": "y",
        "date": "2000-01-01",
        "samples": 3,
        "steps": 2,
        "calibration_steps": 3,
        "classifier": {"accuracy": 0.5, "class_accuracy": 0.5, "pictures": 4},
        "seconds": 1.0,
    }
    page = tmp_path / "results.md"
    write_report(page, tmp_path / "images", generator, found, calibrated, facts)
    text = page.read_text()
    assert "Change outside the area" in text
    for name in ("methods", "layers", "calibration"):
        assert f"images/results-{name}.png" in text
        assert (tmp_path / "images" / f"results-{name}.png").is_file()
