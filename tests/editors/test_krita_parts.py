"""Mosaics and wholes of parts in the real Krita: layers with masks that show what the engine made.

Runs where INTARSIA_EDITOR_TESTS=1 and ``setup_editors.sh`` has made its root. The models are small
and learnt nothing; what must come out is what an engine with the same home makes of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from small_key_patches import install_small_key_patches
from small_mosaics import install_small_mosaic
from tests.editors.krita_session import NEEDED, Krita, small_case

from intarsia_client.client import Client
from intarsia_client.schema import Pixels

pytestmark = NEEDED

SCENES = ["makes_a_mosaic", "assembles_three_layers"]
Place = Sequence[int]


@pytest.fixture(scope="module")
def krita(tmp_path_factory: pytest.TempPathFactory) -> Krita:
    made = Krita(tmp_path_factory.mktemp("krita"))
    made.engine_home.mkdir(mode=0o700)
    mosaic = install_small_mosaic(made.engine_home)
    patches = install_small_key_patches(made.engine_home)
    made.prepare({"small": small_case()}, mosaic=mosaic, patches=patches)
    return made


def _file(krita: Krita, name: str, place: Place) -> np.ndarray:
    """What a scene wrote of a layer, as (H, W, 4) RGBA integers."""
    data = (krita.folder / "scenes" / name).read_bytes()
    pixels = np.frombuffer(data, np.uint8).reshape(place[3], place[2], 4)
    return pixels[..., [2, 1, 0, 3]].astype(int)


def test_the_templates_are_the_group_s_layers_and_the_guide_is_what_lies_below(
    seen: Callable[[str], Any],
) -> None:
    found = seen("makes_a_mosaic")
    assert found["reads"] == (
        "Reads: group “Templates”: 4 pieces, 75×41; Guide: what lies below, 72×56"
    )
    assert found["guides"][:3] == ["What lies below, 72×56", "Whole picture, 72×56", "None"]
    assert [x["input"] for x in found["recipe"]["inputs"]] == ["picture"] + 4 * ["templates"]
    sizes = [(x["width"], x["height"]) for x in found["recipe"]["inputs"]]
    assert sizes == [(72, 56)] + 4 * [(36, 32)], "pieces are whole beyond the canvas"
    assert found["collage"] == ["Mosaic of Portrait", found["whole"]]


def test_the_group_of_layers_with_masks_composes_to_the_collage(
    seen: Callable[[str], Any], krita: Krita
) -> None:
    found = seen("makes_a_mosaic")
    name, kind, inside = found["shapes"]
    assert (name, kind) == ("Mosaic of Portrait", "grouplayer")
    assert len(inside) >= 3 and all(kind == "paintlayer" for _, kind, _ in inside)
    assert all([k for _, k, _ in masks] == ["transparencymask"] for *_, masks in inside)
    assert found["recipes"] == ["mosaic", "mosaic"]
    collage, composed = (
        _file(krita, f"mosaic-{what}.bgra", found["whole"]) for what in ("collage", "composed")
    )
    assert (composed[..., 3] >= 253).all()
    apart = np.abs(collage[..., :3] - composed[..., :3])
    assert apart.max() <= 2 and apart.mean() < 0.6
    assert collage[..., :3].std() > 20


def test_a_mask_can_be_painted_and_one_undo_takes_the_whole_group_away(
    seen: Callable[[str], Any],
) -> None:
    found = seen("makes_a_mosaic")
    assert set(bytes.fromhex(found["without_top"])) == {0}
    assert found["after"] == ["Background", "Templates", "Mosaic of Portrait"] * 1 + [
        "Mosaic of Portrait"
    ]
    assert found["undone"] == found["after"][:-1]


def test_three_layers_and_one_click_give_a_picture_and_where_the_parts_went(
    seen: Callable[[str], Any], krita: Krita, engine: Client
) -> None:
    found = seen("assembles_three_layers")
    assert found["reads"].startswith("Reads: group “Templates”: 3 pieces")
    assert found["after"] == ["Background", "Templates", "Assemble"]
    assert found["shapes"] == [
        "Assemble",
        "grouplayer",
        [["Placement of the parts", "paintlayer", []], ["Assembled", "paintlayer", []]],
    ]
    assert found["undone"] == found["before"]
    parts = []
    for number, (name, place) in enumerate(found["pieces"]):
        data = _file(krita, f"part-{number}.bgra", place).astype(np.uint8).tobytes()
        x, y, width, height = place
        parts.append(Pixels("parts", width, height, 4, data, x=x, y=y, name=name))
    recipe = found["recipe"]
    job = engine.submit("assemble", parts, recipe["parameters"], seed=recipe["seed"])
    placement, picture = job.wait().layers
    place = [picture.x, picture.y, picture.width, picture.height]
    assert found["places"][1] == place
    shape = (picture.height, picture.width, -1)
    wanted = np.frombuffer(picture.data, np.uint8).reshape(shape)
    np.testing.assert_array_equal(_file(krita, "assembled.bgra", place), wanted)
    weights = np.frombuffer(placement.data, np.uint8).reshape(shape)[..., 0]
    np.testing.assert_array_equal(_file(krita, "placement.bgra", place)[..., 3], weights)
    assert found["cut"] == ["paintlayer", [["Placement", "transparencymask", []]]]
    assert bytes.fromhex(found["weights"]) == bytes(placement.data)
    top = -picture.y
    assert top > 0, "Krita shows masks on the canvas only"
    shown = _file(krita, "cut.bgra", place)[top:-top, :, 3]
    np.testing.assert_array_equal(shown, weights[top:-top])
