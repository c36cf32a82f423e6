"""The page of results, whose sections are written apart."""

from __future__ import annotations

from pathlib import Path

from intarsia_models.evaluation.page import put_beginning, put_section, section


def test_a_section_is_replaced_in_its_place_and_the_others_stay(tmp_path: Path) -> None:
    page = tmp_path / "results.md"
    put_section(page, "## One\n\nfirst\n\n### Within\n")
    put_section(page, "## Two\n\nsecond\n")
    put_section(page, "## One\n\nagain\n")
    assert page.read_text() == "## One\n\nagain\n\n\n## Two\n\nsecond\n"
    assert section(page, "Two").strip() == "## Two\n\nsecond" and not section(page, "Three")


def test_a_new_beginning_keeps_what_others_wrote_and_drops_its_own(tmp_path: Path) -> None:
    page = tmp_path / "results.md"
    page.write_text("# Old\n\n## Own\n\nx\n\n## Dropped\n\ny\n\n## Other\n\nz\n")
    put_beginning(page, "# New\n\n## Own\n\nnew\n", earlier=("Dropped",))
    assert page.read_text() == "# New\n\n\n## Own\n\nnew\n\n\n## Other\n\nz\n"
