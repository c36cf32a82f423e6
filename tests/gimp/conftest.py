"""Each test starts with a GIMP that has no images."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from gi.repository import Gimp


@pytest.fixture(autouse=True)
def empty_gimp() -> Iterator[None]:
    Gimp.reset()
    yield
    Gimp.reset()
