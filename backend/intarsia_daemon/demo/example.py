"""What is said of one run of the demo."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Example:
    """One run and what the page says about it."""

    name: str
    """Of the output files."""
    title: str
    text: str
    operation: str
    inputs: dict[str, str] = field(default_factory=dict)
    """``FILE#LAYER`` by input, or by ``INPUT:NAME`` where there are several."""
    settings: dict[str, str] = field(default_factory=dict)
    ending: str = ".png"
    alone: bool = False
    """Whether the result is shown without the picture below it."""
    before: str = "pasted as it is"
    """What the picture of all inputs, one above the other, is called; empty: not shown."""
    after: str = ""
    """What the result is called; empty: the title."""
    reference: str = ""
    """What the picture of all references, one above the other, is called; empty: not shown."""
    separately: bool = False
    """Whether every result layer is shown by itself: they are variants."""
    learnt: bool = False
    """Whether the model of its picture comes with the demo (`models`), learnt beforehand."""
