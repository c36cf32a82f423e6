"""The loose pieces of a collage, as the command line and batches read and write them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.cli.sample_files import noise, opaque, save_png

from intarsia_client.errors import InvalidRequest
from intarsia_client.schema import Input, Operation, Result, ResultLayer
from intarsia_client.wire import MAX_BUFFERS
from intarsia_daemon.cli import batch_recipe
from intarsia_daemon.cli.outputs import write_output
from intarsia_daemon.cli.sources import Source, SourceReader
from intarsia_daemon.cli.wishes import Wish
from intarsia_daemon.documents import formats, openraster
from intarsia_daemon.documents.document import Document, Layer, LayerMask
from intarsia_daemon.documents.pieces import piece_of, pieces_of

PIECES = Input("pieces", "templates", "Pieces", "Rough pieces.")
OPERATION = Operation("test", "Test", "Test", "For tests.", (PIECES,), ())


def cat(**more: object) -> Layer:
    return replace(Layer("Cat", 3, -2, noise(4, 5, 1)), **more)  # type: ignore[arg-type]


DOG = Layer("Dog", 1, 1, noise(3, 6, 2))


def collage(*layers: Layer) -> Document:
    """A group of pieces over a Sky."""
    return Document(8, 6, [Layer("Zoo", children=list(layers)), Layer("Sky", array=opaque(6, 8))])


def saved(path: Path, document: Document) -> Path:
    path.write_bytes(openraster.write(document))
    return path


def read(path: Path, layer: str = "", **more: object) -> list[Source]:
    wish = replace(Wish("pieces", path, layer), **more)  # type: ignore[arg-type]
    return SourceReader().read_all(OPERATION, [wish])


def places(sources: list[Source]) -> list[tuple[str, int, int, tuple[int, ...]]]:
    return [(s.name, s.x, s.y, s.array.shape[:2]) for s in sources]


def test_a_groups_visible_layers_are_pieces_back_to_front_with_their_places(tmp_path: Path) -> None:
    hidden = replace(DOG, name="Hidden", visible=False)
    path = saved(tmp_path / "a.ora", collage(cat(), hidden, DOG))

    assert places(read(path, "Zoo")) == [("Dog", 1, 1, (3, 6)), ("Cat", 3, -2, (4, 5))]


def test_a_pieces_opacity_is_in_its_alpha_and_its_colours_are_exact(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.ora", collage(cat(opacity=0.5), DOG))

    found = read(path, "Zoo")[1]

    assert np.array_equal(found.array[..., :3], noise(4, 5, 1)[..., :3])
    half = np.rint(noise(4, 5, 1)[..., 3] * 0.5)
    assert np.array_equal(found.array[..., 3], half)
    assert not found.notes


def test_a_whole_document_is_its_layers_and_a_nested_group_one_piece(tmp_path: Path) -> None:
    inside = Layer("Zoo", children=[cat(opacity=0.5), DOG], opacity=0.5)
    path = saved(tmp_path / "a.ora", Document(8, 6, [inside, Layer("Sky", array=opaque(6, 8))]))

    found = read(path)

    assert places(found) == [("Sky", 0, 0, (6, 8)), ("Zoo", 1, 0, (4, 7))]
    assert 0 < found[1].array[..., 3].max() <= 128


def test_one_layer_and_a_flat_picture_are_one_piece_each(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.ora", collage(cat(), DOG))
    flat = save_png(tmp_path / "flat.png", opaque(4, 4))

    assert places(read(path, "Zoo/Dog")) == [("Dog", 1, 1, (3, 6))]
    assert places(read(flat)) == [("flat", 0, 0, (4, 4))]
    assert places(read(flat, place=(7, -3), name="Moon")) == [("Moon", 7, -3, (4, 4))]


def test_several_files_keep_their_order(tmp_path: Path) -> None:
    back, front = (save_png(tmp_path / n, opaque(2, 2)) for n in ("z.png", "a.png"))

    found = SourceReader().read_all(OPERATION, [Wish("pieces", back), Wish("pieces", front)])

    assert [source.name for source in found] == ["z", "a"]


def test_a_group_is_placed_as_a_whole(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.ora", collage(cat(), DOG))

    found = read(path, "Zoo", place=(10, 20))

    assert [(s.x, s.y) for s in found] == [(10, 23), (12, 20)]


def test_a_group_that_is_not_there_is_answered_with_the_groups_there_are(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.ora", collage(cat(), DOG))
    with pytest.raises(InvalidRequest, match=r"no group or layer named 'Zoom'.*groups are: Zoo\."):
        read(path, "Zoom")
    bare = saved(tmp_path / "b.ora", Document(8, 6, [cat(), DOG]))
    with pytest.raises(InvalidRequest, match=r"no groups; its layers are: Cat, Dog"):
        read(bare, "Zoo")


def test_a_group_that_shows_nothing_is_refused_by_name(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.ora", collage(cat(visible=False)))

    with pytest.raises(InvalidRequest, match="The group 'Zoo' has no visible layer"):
        read(path, "Zoo")


def test_a_layer_without_pixels_is_refused_by_name() -> None:
    document = collage(cat(), Layer("Title", foreign="a text layer"))

    with pytest.raises(InvalidRequest, match="'Title' is a text layer, which has no pixels"):
        pieces_of(document, document.layers[0])


def test_what_is_clipped_to_a_layer_belongs_to_its_piece() -> None:
    red = np.full((3, 6, 4), (255, 0, 0, 255), np.uint8)
    coat = Layer("Coat", 1, 1, red, clip="base")
    document = collage(cat(), coat, DOG)

    dog, front = pieces_of(document, document.layers[0])

    assert (dog.layer.name, front.layer.name) == ("Dog", "Cat")
    assert np.array_equal(dog.array[..., 3], noise(3, 6, 2)[..., 3])
    solid = dog.array[dog.array[..., 3] > 0]
    assert (solid[:, :3] == (255, 0, 0)).all()


def test_a_groups_own_layer_mask_hides_parts_of_its_pieces() -> None:
    shown = LayerMask(np.zeros((6, 8), np.uint8), 0, 0)
    shown.array[:, :4] = 255
    document = collage(DOG)
    document.layers[0].layer_mask = shown

    (dog,) = pieces_of(document, document.layers[0])

    assert (dog.array[:, 3:, 3] == 0).all()
    assert np.array_equal(dog.array[:, :3, 3], noise(3, 6, 2)[:, :3, 3])


def test_an_empty_group_alone_is_no_piece() -> None:
    document = Document(8, 6, [Layer("Nothing", children=[]), DOG])

    assert [piece.layer.name for piece in pieces_of(document, None)] == ["Dog"]
    with pytest.raises(InvalidRequest, match="'Nothing' shows nothing"):
        piece_of(document, document.layers[0])


def test_more_pieces_than_can_be_sent_are_refused_with_what_to_do(tmp_path: Path) -> None:
    many = [Layer(f"L{i}", array=opaque(1, 1)) for i in range(MAX_BUFFERS + 1)]
    path = saved(tmp_path / "a.ora", collage(*many))

    sentence = f"{len(many)} pictures are given; at most {MAX_BUFFERS}.*hide layers"
    with pytest.raises(InvalidRequest, match=sentence):
        read(path, "Zoo")


# --- written --------------------------------------------------------------------------------------


def result() -> Result:
    array = opaque(3, 8, 5)
    return Result((ResultLayer("Composite", 8, 3, 4, array.tobytes(), "u8", 0, -1),), {"a": 1})


def written(path: Path, sources: list[Source]) -> Document:
    write_output(path, OPERATION, sources, result())
    return formats.parse(path.read_bytes(), path.stem)


def test_the_result_arrives_above_the_group_it_was_made_from(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.ora", collage(cat(), DOG))

    document = written(tmp_path / "o.ora", read(path, "Zoo"))

    names = ["Composite", "Zoo", "Zoo/Cat", "Zoo/Dog", "Sky"]
    assert [name for name, _ in document.walk()] == names
    assert np.array_equal(document.layers[0].array, opaque(3, 8, 5))  # type: ignore[arg-type]
    assert (document.layers[0].y, document.width, document.height) == (-1, 8, 6)


def test_the_result_arrives_above_the_pieces_of_loose_files(tmp_path: Path) -> None:
    wishes = [
        Wish("pieces", save_png(tmp_path / "back.png", opaque(6, 8))),
        Wish("pieces", save_png(tmp_path / "front.png", noise(2, 2)), place=(5, 1)),
    ]

    document = written(tmp_path / "o.ora", SourceReader().read_all(OPERATION, wishes))

    assert [name for name, _ in document.walk()] == ["Composite", "front", "back"]
    assert (document.layers[1].x, document.layers[1].y) == (5, 1)


# --- batches --------------------------------------------------------------------------------------


def test_a_batch_takes_the_same_group_of_every_file_or_a_fixed_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_recipe.catalog, "operation", lambda name: OPERATION)
    path = saved(tmp_path / "a.ora", collage(cat(), DOG))
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('operation = "test"\neach = { pieces = "Zoo" }')

    plan = batch_recipe.read_batch_recipe(recipe)
    sources = SourceReader().read_all(OPERATION, plan.wishes(path))

    assert [source.name for source in sources] == ["Dog", "Cat"]
    other = Operation("test", "T", "T", "T.", (Input("picture", "picture", "P", "P."), PIECES), ())
    monkeypatch.setattr(batch_recipe.catalog, "operation", lambda name: other)
    folder = tmp_path / "tiles"
    folder.mkdir()
    save_png(folder / "one.png", opaque(2, 2))
    recipe.write_text('operation = "test"\n[inputs]\npieces = "tiles"')
    before = batch_recipe.read_batch_recipe(recipe).hash()
    save_png(folder / "one.png", opaque(2, 2, 9))
    assert batch_recipe.read_batch_recipe(recipe).hash() != before, "other pictures, other work"
