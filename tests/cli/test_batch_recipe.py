"""Batch recipes are checked whole before anything runs; the manifest says what is done."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.cli.sample_files import opaque, save_png
from tests.support import ROOT

from intarsia_client.errors import InvalidRequest
from intarsia_daemon.cli.batch import plan_units
from intarsia_daemon.cli.batch_recipe import read_batch_recipe
from intarsia_daemon.output_manifest import Manifest, file_hash


def recipe_file(folder: Path, text: str) -> Path:
    save_png(folder / "sticker.png", opaque(2, 2))
    path = folder / "recipe.toml"
    path.write_text(text, "utf-8")
    return path


GOOD = """
operation = "blend"
seed = 5
each = "picture"
[parameters]
method = "feather"
feather = 3
[inputs]
element = "sticker.png"
[place]
element = [4, -2]
[output]
name = "{index:03}-{stem}.ora"
layers_only = true
"""


def test_a_recipe_is_read_and_defaults_are_filled_in(tmp_path: Path) -> None:
    recipe = read_batch_recipe(recipe_file(tmp_path, GOOD))

    assert (recipe.operation.id, recipe.seed, recipe.layers_only) == ("blend", 5, True)
    assert recipe.parameters["method"] == "feather"
    assert recipe.parameters["feather"] == 3.0
    assert recipe.parameters["amount"] == 1.0
    picture, element = recipe.wishes(Path("photo.jpg"))
    assert (picture.input, picture.path) == ("picture", Path("photo.jpg"))
    assert (element.path, element.place) == (tmp_path / "sticker.png", (4, -2))
    assert recipe.output_name(Path("a/photo.jpg"), 7) == "007-photo.ora"


def test_one_file_may_fill_several_inputs(tmp_path: Path) -> None:
    text = 'operation = "blend"\neach = { picture = "below:Cat", element = "#Cat" }\n'

    picture, element = read_batch_recipe(recipe_file(tmp_path, text)).wishes(Path("a.ora"))

    assert (picture.layer, element.layer) == ("below:Cat", "Cat")


def test_the_documented_example_is_a_recipe(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "batch-example.toml").read_text("utf-8")

    assert read_batch_recipe(recipe_file(tmp_path, text)).operation.id == "blend"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('operation = "blend"', 'operation = "bland"', "no operation named 'bland'"),
        ('operation = "blend"', "", "operation must be a text"),
        ("seed = 5", "seed = -1", r"seed must lie in \[0, 2147483647\], got -1"),
        ("seed = 5", "seed = true", "seed must be a whole number"),
        ("seed = 5", "sead = 5", "no entry 'sead'"),
        ('each = "picture"', 'each = "pikture"', "no input named 'pikture'"),
        ('each = "picture"', 'each = "element"', "'element' stands in each and in"),
        ("feather = 3", "feather = 300", r"feather must lie in \[0, 200\] px, got 300"),
        ("feather = 3", "father = 3", "no parameter named 'father'"),
        ('element = "sticker.png"', 'element = "gone.png"', "which does not exist"),
        ('element = "sticker.png"', "element = 5", "must name a file, got 5"),
        ('element = "sticker.png"', "", "names 'element', which is no given input"),
        ("element = [4, -2]", "element = [4]", "must be two whole numbers"),
        ('"{index:03}-{stem}.ora"', '"{name}.ora"', "unknown field"),
        ('"{index:03}-{stem}.ora"', '"out.ora"', "the same for every file"),
        ('"{index:03}-{stem}.ora"', '"../{stem}.ora"', "must be a file name"),
        ('"{index:03}-{stem}.ora"', '"{stem}.jpg"', "ends in .png or .ora"),
        ("[place]", "[place", "is no TOML file"),
    ],
)
def test_what_is_wrong_is_said_with_the_files_name(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    assert old in GOOD

    with pytest.raises(InvalidRequest, match=f"recipe.toml.*{said}"):
        read_batch_recipe(recipe_file(tmp_path, GOOD.replace(old, new, 1)))


def test_a_missing_recipe_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"gone\.toml cannot be read"):
        read_batch_recipe(tmp_path / "gone.toml")


def test_the_hash_changes_with_everything_that_changes_an_output(tmp_path: Path) -> None:
    hashes = {read_batch_recipe(recipe_file(tmp_path, GOOD)).hash()}
    for old, new in [
        ("seed = 5", "seed = 6"),
        ("feather = 3", "feather = 4"),
        ("[4, -2]", "[4, -3]"),
        (".ora", ".png"),
        ("layers_only = true", "layers_only = false"),
    ]:
        hashes.add(read_batch_recipe(recipe_file(tmp_path, GOOD.replace(old, new))).hash())
    path = recipe_file(tmp_path, GOOD)
    save_png(tmp_path / "sticker.png", opaque(3, 3))
    hashes.add(read_batch_recipe(path).hash())

    assert len(hashes) == 7
    renamed = GOOD.replace("{index:03}-{stem}", "{stem}")
    same = {read_batch_recipe(recipe_file(tmp_path, text)).hash() for text in (GOOD, renamed)}
    assert len(same) == 1, "how outputs are named does not change them"


def test_two_outputs_of_one_name_are_refused(tmp_path: Path) -> None:
    plan = read_batch_recipe(recipe_file(tmp_path, GOOD.replace("{index:03}-", "")))

    with pytest.raises(InvalidRequest, match=r"would both be written to .*photo\.ora"):
        plan_units(plan, [Path("a/photo.jpg"), Path("b/photo.jpg")], tmp_path / "out")


def test_an_output_never_overwrites_one_of_the_files(tmp_path: Path) -> None:
    plan = read_batch_recipe(recipe_file(tmp_path, GOOD.replace("{index:03}-", "")))

    with pytest.raises(InvalidRequest, match="is also one of the files"):
        plan_units(plan, [tmp_path / "photo.ora"], tmp_path)


def test_the_manifest_skips_only_what_is_whole_and_the_same(tmp_path: Path) -> None:
    output = tmp_path / "o.png"
    output.write_bytes(b"picture")
    entry = {
        "state": "done",
        "attempt": 2,
        "input_sha256": "in",
        "recipe_sha256": "recipe",
        "output_sha256": file_hash(output),
    }
    Manifest(tmp_path).set(output, entry)
    manifest = Manifest(tmp_path)

    assert not manifest.is_done(output, "in", "recipe"), "not before it was read"
    manifest.load()
    assert manifest.is_done(output, "in", "recipe")
    assert manifest.attempts(output) == 2
    assert not manifest.is_done(output, "other", "recipe")
    assert not manifest.is_done(output, "in", "other")
    output.write_bytes(b"damaged")
    assert not manifest.is_done(output, "in", "recipe")
    output.unlink()
    assert not manifest.is_done(output, "in", "recipe")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"files": 3}'])
def test_a_broken_manifest_is_an_empty_one(tmp_path: Path, text: str) -> None:
    (tmp_path / "intarsia-batch.json").write_text(text)
    manifest = Manifest(tmp_path)

    manifest.load()

    assert manifest.attempts(tmp_path / "o.png") == 0
