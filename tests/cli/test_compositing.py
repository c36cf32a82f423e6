"""Drawing layers: hand-computed numbers and what must not change."""

from __future__ import annotations

import numpy as np
import pytest
from tests.cli.sample_files import noise, opaque

from intarsia_daemon.documents.blend_modes import MODES
from intarsia_daemon.documents.compositing import apply_layer_mask, below, flatten, render
from intarsia_daemon.documents.document import Document, Layer, LayerMask


def flat(color: tuple[int, int, int, int], size: int = 2, **more: object) -> Layer:
    array = np.full((size, size, 4), color, np.uint8)
    return Layer("flat", array=array, **more)  # type: ignore[arg-type]


def pixel(*layers: Layer) -> list[int]:
    return flatten(Document(2, 2, list(layers)))[0, 0].tolist()


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_one_opaque_layer_is_drawn_exactly(dtype: str) -> None:
    array = opaque(300, 5, dtype=dtype)  # taller than one strip

    assert np.array_equal(flatten(Document(5, 300, [Layer("a", array=array)])), array)


def test_half_over_opaque_is_the_mean() -> None:
    # (128 * 200 + 127 * 100) / 255 = 150.2
    assert pixel(flat((200, 0, 0, 128)), flat((100, 0, 0, 255))) == [150, 0, 0, 255]


def test_half_over_nothing_keeps_its_colour() -> None:
    assert pixel(flat((200, 10, 30, 128))) == [200, 10, 30, 128]


def test_half_over_half() -> None:
    # alpha = 0.502 + 0.502 * 0.498 = 0.752; colour = (0.502*200 + 0.502*0.498*100) / 0.752 = 166.8
    assert pixel(flat((200, 0, 0, 128)), flat((100, 0, 0, 128))) == [167, 0, 0, 192]


def test_opacity_and_visibility() -> None:
    assert pixel(flat((200, 0, 0, 255), opacity=0.5), flat((100, 0, 0, 255)))[0] == 150
    assert pixel(flat((200, 0, 0, 255), visible=False), flat((100, 0, 0, 255)))[0] == 100


# backdrop 100 (0.392), source 200 (0.784); W3C Compositing and Blending, section 9.1
@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("normal", 200),
        ("multiply", 78),  # 100 * 200 / 255
        ("screen", 222),  # 255 - 155 * 55 / 255
        ("overlay", 157),  # backdrop below the middle: 2 * 100 * 200 / 255
        ("darken", 100),
        ("lighten", 200),
        ("color-dodge", 255),
        ("color-burn", 57),  # 1 - (1 - 0.392) / 0.784
        ("hard-light", 188),  # screen of 100 and 145
        ("soft-light", 134),  # 0.392 + 0.569 * (sqrt(0.392) - 0.392)
        ("difference", 100),
        ("exclusion", 143),
        ("add", 255),
        ("subtract", 0),
        ("linear-burn", 45),
    ],
)
def test_blend_modes_have_the_standards_numbers(mode: str, expected: int) -> None:
    assert pixel(flat((200, 200, 200, 255), blend=mode), flat((100, 100, 100, 255)))[0] == expected


@pytest.mark.parametrize("mode", ["hue", "saturation", "color", "luminosity"])
def test_non_separable_modes_leave_equal_grays_alone(mode: str) -> None:
    gray = (120, 120, 120, 255)

    assert pixel(flat(gray, blend=mode), flat(gray))[0] == pytest.approx(120, abs=1)


def test_luminosity_takes_the_lightness_and_keeps_the_hue() -> None:
    result = pixel(flat((200, 200, 200, 255), blend="luminosity"), flat((100, 50, 50, 255)))

    lightness = 0.3 * result[0] + 0.59 * result[1] + 0.11 * result[2]
    assert lightness == pytest.approx(200, abs=1)
    assert result[0] > result[1] == result[2]


@pytest.mark.parametrize("mode", sorted(MODES))
def test_a_transparent_layer_changes_nothing_in_any_mode(mode: str) -> None:
    array = opaque(4, 4)
    empty = Layer("empty", array=np.zeros((4, 4, 4), np.uint8), blend=mode)

    assert np.array_equal(flatten(Document(4, 4, [empty, Layer("a", array=array)])), array)


def test_layers_lie_where_their_offset_says_and_are_cut_at_the_canvas() -> None:
    array = opaque(4, 4)
    result = flatten(Document(5, 5, [Layer("a", x=-1, y=3, array=array)]))

    assert np.array_equal(result[3:, :3], array[:2, 1:])
    assert (result[:3] == 0).all()
    assert (result[:, 3:] == 0).all()


def test_an_isolated_group_is_drawn_before_its_opacity() -> None:
    group = Layer("g", children=[flat((0, 0, 0, 255)), flat((255, 255, 255, 255))], opacity=0.5)

    # both layers at half opacity would leave 63 of the white below; as one black sheet it is 128
    assert pixel(group, flat((255, 255, 255, 255)))[0] == 128


def test_a_pass_through_group_blends_with_what_lies_below() -> None:
    multiply = flat((128, 128, 128, 255), blend="multiply")
    through = Layer("g", children=[multiply], pass_through=True)
    isolated = Layer("g", children=[multiply])

    assert pixel(through, flat((100, 100, 100, 255)))[0] == 50
    assert pixel(isolated, flat((100, 100, 100, 255)))[0] == 128


def test_a_pass_through_groups_opacity_mixes_before_and_after() -> None:
    multiply = flat((128, 128, 128, 255), blend="multiply")
    through = Layer("g", children=[multiply], pass_through=True, opacity=0.5)

    assert pixel(through, flat((100, 100, 100, 255)))[0] == 75


def test_clipped_layers_show_only_where_their_base_is() -> None:
    base = Layer("base", x=1, array=np.full((2, 1, 4), (10, 20, 30, 255), np.uint8))
    clipped = flat((200, 0, 0, 255), clip="base")

    result = flatten(Document(2, 2, [clipped, base]))

    assert result[0].tolist() == [[0, 0, 0, 0], [200, 0, 0, 255]]


def test_inherited_alpha_shows_only_where_anything_is() -> None:
    one = Layer("one", array=np.full((2, 1, 4), (10, 20, 30, 255), np.uint8))
    inheriting = flat((200, 0, 0, 255), clip="below")

    result = flatten(Document(2, 2, [inheriting, one]))

    assert result[0, 0].tolist() == [200, 0, 0, 255]
    assert result[0, 1, 3] == 0


def test_a_layer_mask_hides_and_counts_beyond_its_rectangle() -> None:
    shown = LayerMask(np.array([[128]], np.uint8), x=1, y=0, outside=0.0)
    layer = flat((200, 0, 0, 255), layer_mask=shown)

    result = flatten(Document(2, 2, [layer]))

    assert result[..., 3].tolist() == [[0, 128], [0, 0]]
    assert apply_layer_mask(layer)[..., 3].tolist() == [[0, 128], [0, 0]]


def test_below_is_what_lies_under_a_layer_also_inside_groups() -> None:
    arrays = [opaque(3, 3, i) for i in range(3)]
    bottom, middle, top = (Layer(name, array=a) for name, a in zip("abc", arrays, strict=True))
    document = Document(3, 3, [top, Layer("g", children=[middle, bottom])])

    assert np.array_equal(below(document, middle), arrays[0])
    assert np.array_equal(below(document, top), arrays[1])


def test_a_rectangle_is_the_same_as_cutting_the_whole() -> None:
    layers = [Layer("a", array=noise(9, 9)), Layer("b", array=noise(9, 9, 1), blend="screen")]

    whole = flatten(Document(9, 9, layers))

    assert np.array_equal(render(layers, 2, 3, 4, 5), whole[3:8, 2:6])
