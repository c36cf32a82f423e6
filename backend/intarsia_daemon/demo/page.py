"""The demo's page: before and after, previews, times, and the command that repeats each run."""

from __future__ import annotations

import html
from dataclasses import dataclass, field
from pathlib import Path

STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 76rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.8rem; margin-bottom: 0; } h2 { margin: 3rem 0 .2rem; }
p { max-width: 48rem; } .quiet { opacity: .75; }
.row { display: flex; flex-wrap: wrap; gap: 1rem; align-items: flex-start; }
figure { margin: 0; flex: 1 1 20rem; }
figure img { width: 100%; border-radius: 4px; display: block;
             background: repeating-conic-gradient(#8883 0 25%, #0000 0 50%) 0 0 / 1.2rem 1.2rem; }
figure:only-child { flex: 0 1 auto; }
figure:only-child img { width: auto; min-width: 20rem; max-width: 100%; }
.row.small figure { flex: 0 0 9rem; } .row.small img { width: 100%; min-width: 0; }
figcaption { font-size: .85rem; opacity: .8; padding-top: .3rem; }
pre { background: var(--soft); border: 1px solid var(--line); border-radius: 4px; padding: .7rem;
      white-space: pre-wrap; overflow-wrap: anywhere; font-size: .82rem; }
table { border-collapse: collapse; } td, th { padding: .2rem .9rem .2rem 0; text-align: left; }
td { border-top: 1px solid var(--line); } .failed { color: #c22; }
"""


@dataclass(frozen=True)
class Figure:
    """A picture file beside the page, with what it shows."""

    file: str
    caption: str


@dataclass
class Chapter:
    """One run on the page."""

    title: str
    text: str
    command: str
    pictures: list[Figure] = field(default_factory=list)
    samples: list[Figure] = field(default_factory=list)
    """Previews that came while it ran."""
    seconds: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    error: str = ""


def write_page(folder: Path, chapters: list[Chapter], facts: dict[str, str]) -> Path:
    """Write ``index.html`` into the folder that already holds the pictures.

    Args:
        folder: Where the page and its pictures lie.
        chapters: In the order shown.
        facts: Shown at the top: version, device, date, whole time.

    Returns:
        The page's path.
    """
    rows = "".join(f"<tr><th>{_text(k)}</th><td>{_text(v)}</td></tr>" for k, v in facts.items())
    body = "".join(_chapter(chapter) for chapter in chapters)
    page = folder / "index.html"
    page.write_text(
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Intarsia demo</title><style>{STYLE}</style></head><body>"
        "<h1>Intarsia</h1><p>Every operation of this release on real pictures, run on this machine "
        "through the same engine that Krita and GIMP use. Nothing left the machine.</p>"
        f"<table>{rows}</table>{body}"
        '<p class="quiet">Sources and licences of the pictures: <a href="ATTRIBUTION.md">'
        "ATTRIBUTION.md</a>.</p></body></html>",
        encoding="utf-8",
    )
    return page


def _text(value: str) -> str:
    return html.escape(value, quote=True)


def _figures(figures: list[Figure], css: str = "row") -> str:
    if not figures:
        return ""
    items = "".join(
        f'<figure><a href="{_text(f.file)}"><img src="{_text(f.file)}" alt="{_text(f.caption)}"'
        f' loading="lazy"></a><figcaption>{_text(f.caption)}</figcaption></figure>'
        for f in figures
    )
    return f'<div class="{css}">{items}</div>'


def _chapter(chapter: Chapter) -> str:
    parts = [f"<h2>{_text(chapter.title)}</h2><p>{_text(chapter.text)}</p>"]
    if chapter.error:
        parts.append(f'<p class="failed">{_text(chapter.error)}</p>')
    parts.append(_figures(chapter.pictures))
    if chapter.samples:
        parts.append('<p class="quiet">On the way:</p>' + _figures(chapter.samples, "row small"))
    parts += [f'<p class="quiet">{_text(note)}</p>' for note in chapter.notes]
    if chapter.seconds:
        times = ", ".join(f"{_text(name)} {value:.1f} s" for name, value in chapter.seconds.items())
        parts.append(f'<p class="quiet">Time: {times}</p>')
    parts.append(f"<pre>{_text(chapter.command)}</pre>")
    return "".join(parts)
