"""The operations on a model with styles and no classes: StyleGAN2 with random weights."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pytest
import torch
from operation_runs import as_picture, box_area, direct_context, painting, run_directly, shown

from intarsia_client.errors import InvalidRequest
from intarsia_daemon.context import Context
from intarsia_daemon.model_store import ModelStore
from intarsia_models.families.stylegan2 import StyleGAN2Generator
from intarsia_models.families.stylegan2.settings import GeneratorSettings
from intarsia_models.generators.loading import save_generator
from intarsia_models.generators.transplants import Transplant

LEVEL = 1.01 / 255


@pytest.fixture(name="home", scope="module")
def _home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    generator = _generator()
    card = {"family": generator.family, "task": "generator", "title": "Styles"}
    ModelStore(home / "models").add(lambda folder: save_generator(generator, folder), card)
    return home


@functools.cache
def _generator() -> StyleGAN2Generator:
    generator = StyleGAN2Generator(GeneratorSettings((16, 16, 8, 8), 12, 12, 2))
    source = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for tensor in generator.state_dict().values():  # what is stored
            if tensor.is_floating_point():
                tensor.copy_(torch.randn(tensor.shape, generator=source) / 4)
    return generator.eval()


@pytest.fixture(name="context")
def _context(home: Path) -> Context:
    return direct_context(home)


@pytest.fixture(name="made", scope="module")
def _made(home: Path):
    layers = run_directly(direct_context(home), "generate", count=2, truncation=0.6).layers
    return [as_picture(layer) for layer in layers]


def test_a_generated_layer_keeps_latent_and_truncation(context: Context, made) -> None:
    result = run_directly(context, "project", {"picture": made[0]})
    np.testing.assert_array_equal(shown(made[0], result.layers[0]), made[0].array[..., :3] / 255)
    assert "project" not in context.seconds


def test_features_are_transplanted(context: Context, made) -> None:
    result = run_directly(
        context,
        "transplant",
        {"picture": made[0], "references": [made[1]]},
        layout=1.0,
        shapes=0.5,
        softness=0.0,
    )
    generator = _generator()
    z = generator.sample_z(16, 0)
    groups = generator.point_groups()
    strengths = {name: 1.0 for name in groups["layout"]} | {n: 0.5 for n in groups["shapes"]}
    traces = [generator.trace(z[index : index + 1], truncation_psi=0.6) for index in (0, 1)]
    graft = Transplant(torch.ones(1, 1, 32, 32), trace=traces[1], strengths=strengths)
    expected = generator.edit(traces[0], transplants=(graft,)).clamp(-1, 1)
    unit = ((expected[0].permute(1, 2, 0) + 1) / 2).detach().numpy()
    np.testing.assert_allclose(shown(made[0], result.layers[0]), unit, atol=LEVEL)
    area = box_area(made[0], 0, 0, 8, 8)
    with pytest.raises(InvalidRequest, match="has no classes"):
        run_directly(
            context,
            "transplant",
            {"picture": made[0], "references": [made[1]], "area": area},
            class_name="lime",
        )


def test_a_photograph_is_held_by_its_styles_and_known_the_second_time(home: Path) -> None:
    picture, first, second = painting(40, 40), direct_context(home), direct_context(home)
    one = run_directly(first, "project", {"picture": picture}, steps=2)
    again = run_directly(second, "project", {"picture": picture}, steps=2)
    assert "project" in first.seconds and "project" not in second.seconds
    np.testing.assert_array_equal(one.layers[0].array, again.layers[0].array)
    assert one.notes == again.notes


def test_the_way_leads_from_styles_to_a_latent(context: Context, made) -> None:
    given = {"picture": painting(40, 40), "reference": made[0]}
    result = run_directly(context, "interpolate", given, count=3, steps=2)
    last = result.layers[-1]
    assert last.array.shape == (40, 40, 4)
    straight = run_directly(
        context, "interpolate", {"picture": made[1], "reference": made[0]}, count=2
    )
    np.testing.assert_allclose(
        straight.layers[-1].array.astype(int), made[0].array.astype(int), atol=1
    )


@pytest.mark.parametrize("operation", ["relabel", "translate"])
def test_classes_cannot_be_changed_where_there_are_none(
    context: Context, made, operation: str
) -> None:
    with pytest.raises(InvalidRequest, match="None of the 1 installed models") as caught:
        settings = {"class_name": "lime"} if operation == "relabel" else {}
        run_directly(context, operation, {"picture": made[0]}, **settings)
    assert "intarsia models import" in caught.value.remedy
