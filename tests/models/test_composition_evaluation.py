"""What latent composition is measured with: measures of sets, looks, methods, and the page."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from small_generators import LABELS, small_generator, small_regressor
from torch import Tensor

from intarsia_models.errors import UnreadableModel
from intarsia_models.evaluation.classifier import Classifier
from intarsia_models.evaluation.composition_experiments import (
    BLENDS,
    collage_cases,
    composition,
    mirrored,
)
from intarsia_models.evaluation.composition_methods import case_of, quick_methods
from intarsia_models.evaluation.composition_report import write_composition
from intarsia_models.evaluation.looking import (
    INCEPTION_FILES,
    VGG_FILE,
    best_looks,
    classifier_look,
    inception_network,
)
from intarsia_models.evaluation.page import section
from intarsia_models.evaluation.set_measures import (
    density_and_coverage,
    frechet_distance,
    masked_l1,
)
from intarsia_models.generators.generator import Generator
from intarsia_models.latent_composition.collages import Piece


@pytest.fixture(scope="module")
def generator() -> Generator:
    made = small_generator()
    made.attach_regressor(small_regressor(made))
    return made


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    torch.manual_seed(3)
    return Classifier(LABELS, width=4).eval().requires_grad_(False)


def pictures(count: int = 8) -> Tensor:
    """A coloured square before another colour."""
    source = torch.Generator().manual_seed(7)
    colours = torch.rand(2, count, 3, 1, 1, generator=source) * 1.6 - 0.8
    found = colours[0].expand(count, 3, 32, 32).clone()
    found[:, :, 8:24, 10:26] = colours[1]
    return found + 0.05 * torch.randn(count, 3, 32, 32, generator=source)


# --- measures


def test_masked_l1_counts_what_is_known_alone() -> None:
    image, known = torch.zeros(2, 3, 8, 8), torch.zeros(2, 1, 8, 8)
    known[0, :, :, :4] = 1
    known[1] = 1
    made = image + 0.5
    made[0, :, :, 4:] = 9
    assert masked_l1(made, image, known).tolist() == [0.5, 0.5]


def test_the_frechet_distance_is_that_of_normal_distributions() -> None:
    source = torch.Generator().manual_seed(0)
    a = torch.randn(4000, 3, generator=source, dtype=torch.float64)
    b = 2 * torch.randn(4000, 3, generator=source, dtype=torch.float64) + 1
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(a, a + 2) == pytest.approx(12)
    assert frechet_distance(a, b) == pytest.approx(3 * (1 + (2 - 1) ** 2), rel=0.05)


def test_density_and_coverage_of_known_sets() -> None:
    source = torch.Generator().manual_seed(0)
    real = torch.rand(400, 2, generator=source, dtype=torch.float64)
    alike = torch.rand(400, 2, generator=source, dtype=torch.float64)
    density, coverage = density_and_coverage(alike, real)
    assert density == pytest.approx(1, abs=0.15) and coverage > 0.9
    far = density_and_coverage(alike + 10, real)
    assert far == (0.0, 0.0)
    crowded = density_and_coverage(real[:1].expand(400, 2), real)
    assert crowded[0] > 0.8 and crowded[1] < 0.05
    with pytest.raises(ValueError, match="5 neighbours"):
        density_and_coverage(alike, real[:5])


# --- looks


def test_without_files_the_own_classifier_looks(classifier: Classifier, tmp_path: Path) -> None:
    first, second = best_looks(classifier, folder=tmp_path)
    assert first is second and "own classifier" in first.name
    assert first(pictures()).shape == (8, 16)


@pytest.mark.parametrize("name", [INCEPTION_FILES[0], VGG_FILE])
def test_a_file_that_is_something_else_is_refused(
    classifier: Classifier, tmp_path: Path, name: str
) -> None:
    torch.save({"conv.weight": torch.zeros(3)}, tmp_path / name)
    with pytest.raises(UnreadableModel, match="damaged"):
        best_looks(classifier, folder=tmp_path)


def test_inception_leaves_borders_out_of_its_averages() -> None:
    with torch.device("meta"):
        network = inception_network()
    assert network(torch.zeros(1, 3, 299, 299, device="meta")).shape == (1, 2048)
    seen: list[Tensor] = []
    names = dict(network.named_children())
    for name in ("Mixed_5b", "Mixed_6c", "Mixed_7b", "Mixed_7c"):
        part = names[name]
        hook = part.get_submodule("branch_pool").register_forward_pre_hook(
            lambda _, given: seen.append(given[0])
        )
        width = part.get_submodule("branch_pool.conv").get_parameter("weight").shape[1]
        part.to_empty(device="cpu").eval()
        part(torch.ones(1, width, 5, 5))
        hook.remove()
    ours = seen[1::2]  # after torchvision's own, whose borders are darker
    assert len(ours) == 4 and float(seen[0].min()) < 0.5
    assert all(torch.equal(given, torch.ones_like(given)) for given in ours)


# --- experiments


def test_collages_alternate_and_are_the_same_every_time() -> None:
    cases = collage_cases(pictures(), 4)
    assert [len(case.pieces) for case in cases] == [4, 2, 4, 2]
    again = collage_cases(pictures(), 4)
    for a, b in zip(cases, again, strict=True):
        assert torch.equal(a.collage.image, b.collage.image)


def test_mirrored_pictures_are_four_times_as_many() -> None:
    x = pictures(2)
    found = mirrored(x)
    assert found.shape[0] == 8
    assert torch.equal(found[:2], x) and torch.equal(found[6:], x.flip(2, 3))


def test_a_single_whole_piece_is_the_same_for_every_blend(generator: Generator) -> None:
    x = pictures(1)
    case = case_of([Piece(x.clamp(-1, 1), torch.ones(1, 1, 32, 32))])
    methods = quick_methods()
    made = {name: make(generator, case) for name, make in methods.items()}
    names = [name for name in made if "blend" in name or name.startswith("RGB")]
    names.remove("Poisson blending")
    for name in names:
        assert torch.allclose(made[name], made["RGBM, one class"], atol=1e-4), name
    for name in ("collage as it is", "collage, holes filled", "Poisson blending"):
        assert torch.allclose(made[name], x.clamp(-1, 1), atol=1e-5), name


def test_the_page_gets_its_section_and_keeps_the_rest(
    generator: Generator, classifier: Classifier, tmp_path: Path
) -> None:
    look = classifier_look(classifier)
    found = composition(
        generator,
        pictures(),
        (look, look),
        collages=4,
        slow_collages=2,
        steps=1,
        starts=4,
        blend_count=2,
        part_count=2,
        replacements=2,
        adapt_count=2,
        seed=0,
    )
    assert len(found.quick.cases) == 4 and len(found.slow.rows) > len(found.quick.rows)
    assert set(found.blends.distances) == set(BLENDS)
    raw = next(row for row in found.quick.rows if row.name == "collage as it is")
    assert raw.l1 is not None and raw.l1 < 1e-6
    page = tmp_path / "results.md"
    page.write_text("# Results\n\nSomething else.\n\n## Another\n\nStays.\n")
    facts = {"pack": "p", "date": "d", "device": "two cores", "seconds": 1.0, "command": "c"}
    for _ in range(2):
        write_composition(page, tmp_path / "images", found, facts)
    text = page.read_text()
    assert text.startswith("# Results\n\nSomething else.\n")
    assert text.count("## Latent composition") == 1
    assert "Stays." in section(page, "Another")
    assert "### Composition beside" in section(page, "Latent composition")
    named = {line.split("(")[1].rstrip(")") for line in text.splitlines() if line.startswith("![")}
    assert len(named) == 6 and all((tmp_path / name).is_file() for name in named)
