"""The demo: it runs every operation, and its page shows what it says."""

from __future__ import annotations

import html
import re
import shlex
from pathlib import Path

import pytest

from intarsia_daemon import demo
from intarsia_daemon.cli.run import build_request
from intarsia_daemon.demo.examples import EXAMPLES, PICTURES
from intarsia_daemon.demo.page import Chapter, Figure, write_page
from intarsia_daemon.operation import known_operations


def test_every_operation_is_shown_but_trainings_that_take_hours() -> None:
    edits = {name for name in known_operations() if not name.startswith("train_")}
    assert {example.operation for example in EXAMPLES} == edits


def test_every_picture_has_its_licence_recorded() -> None:
    folder = Path(demo.__file__).parent / "pictures"
    text = (folder / "ATTRIBUTION.md").read_text("utf-8")
    shipped = {path.name for path in folder.iterdir()}
    assert shipped == set(PICTURES)
    assert all(name in text for name in shipped if name.endswith(".ora"))


@pytest.mark.timeout(1800)  # on a machine that has other things to do
def test_the_quick_demo_writes_a_page_whose_pictures_and_commands_exist(tmp_path: Path) -> None:
    demo.run(tmp_path, quick=True)
    page = (tmp_path / "index.html").read_text("utf-8")
    shown = re.findall(r'<img src="([^"]+)"', page)
    assert len(shown) >= 2 * len(EXAMPLES)
    assert all((tmp_path / html.unescape(name)).stat().st_size > 0 for name in shown)
    assert any("_sample_" in name for name in shown)
    commands = [shlex.split(html.unescape(text)) for text in re.findall(r"<pre>(.*?)</pre>", page)]
    assert len(commands) == len(EXAMPLES)
    for words in commands:
        _check_command(words, tmp_path)
    assert (tmp_path / "complete_collage_2.png").read_bytes() != (
        tmp_path / "complete_collage_1.png"
    ).read_bytes(), "two variants"
    assert (tmp_path / "fruit-balanced" / "rebalance.csv").is_file()
    assert not (tmp_path / "engine" / "run" / "endpoint.json").exists()


def _check_command(words: list[str], folder: Path) -> None:
    """The command line is one that the program takes, and its files lie beside the page."""
    assert words[:2] == ["intarsia", "run"]
    options = list(zip(words[3::2], words[4::2], strict=True))
    inputs = [value for name, value in options if name == "--input"]
    settings = [value for name, value in options if name == "--set"]
    build_request(words[2], {}, inputs, [], settings, None)
    for text in inputs:
        assert (folder / text.partition("=")[2].partition("#")[0]).exists()


def test_the_page_escapes_what_it_shows(tmp_path: Path) -> None:
    chapter = Chapter("A <b>", "x & y", "run 'a b'", [Figure("a.png", '"quoted"')], error="1 < 2")
    page = write_page(tmp_path, [chapter], {"Device": "<cpu>"}).read_text("utf-8")
    assert "A &lt;b&gt;" in page and "1 &lt; 2" in page and "&lt;cpu&gt;" in page
    assert "<b>" not in page
