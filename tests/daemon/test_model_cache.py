"""Which loaded models stay, which leave, and what is refused."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest

from intarsia_client.errors import IntarsiaError
from intarsia_daemon.model_cache import ModelCache


class _Shelf:
    """Models of given size and loading time, on a clock that only moves when told."""

    def __init__(self, budget: int) -> None:
        self.now = 0.0
        self.loads: list[str] = []
        self.freed = 0
        self.cache = ModelCache(budget, clock=lambda: self.now, on_free=self._on_free)

    def _on_free(self) -> None:
        self.freed += 1

    def get(
        self, key: str, size: int = 10, load_s: float = 1.0, expected: int = 0
    ) -> contextlib.AbstractContextManager[bytes]:
        return self.cache.get(key, self._loader(key, size, load_s), len, expected_bytes=expected)

    def use(self, key: str, size: int = 10, load_s: float = 1.0) -> None:
        with self.get(key, size, load_s):
            self.now += 10.0

    def _loader(self, key: str, size: int, load_s: float) -> Callable[[], bytes]:
        def load() -> bytes:
            self.loads.append(key)
            self.now += load_s
            return key[:1].encode() * size

        return load


def test_a_model_is_loaded_once() -> None:
    shelf = _Shelf(100)
    for _ in range(3):
        with shelf.get("a") as model:
            assert model == b"a" * 10
    assert shelf.loads == ["a"] and shelf.cache.used_bytes == 10


def test_the_least_recently_used_leaves_first() -> None:
    shelf = _Shelf(30)
    for key in ("a", "b", "c", "a", "d"):
        shelf.use(key)
    assert "b" not in shelf.cache
    assert all(key in shelf.cache for key in "acd") and shelf.cache.used_bytes == 30


def test_what_is_quick_to_load_again_leaves_before_what_is_slow() -> None:
    shelf = _Shelf(20)
    shelf.use("slow", load_s=60.0)
    shelf.use("quick", load_s=0.1)
    shelf.use("new")
    assert "slow" in shelf.cache and "quick" not in shelf.cache


def test_only_as_many_leave_as_must() -> None:
    shelf = _Shelf(100)
    for key in "abcde":
        shelf.use(key, size=20)
    shelf.use("f", size=30)
    assert sum(key in shelf.cache for key in "abcde") == 3


def test_a_model_in_use_never_leaves() -> None:
    shelf = _Shelf(20)
    with shelf.get("a") as model:
        shelf.now += 1000.0
        shelf.use("b")
        shelf.use("c")
        assert "a" in shelf.cache and model == b"a" * 10
        assert shelf.cache.release() == 10 and "a" in shelf.cache
    assert shelf.cache.release() == 10 and shelf.cache.used_bytes == 0


def test_a_model_stays_in_use_until_its_last_user_is_done() -> None:
    shelf = _Shelf(20)
    with shelf.get("a"):
        with shelf.get("a"):
            pass
        assert shelf.cache.release() == 0
    assert shelf.cache.release() == 10


def test_a_failing_user_gives_its_model_back() -> None:
    shelf = _Shelf(20)
    with pytest.raises(ZeroDivisionError), shelf.get("a"):
        _ = 1 / 0
    assert shelf.cache.release() == 10


def test_what_cannot_fit_is_refused_with_numbers_before_it_is_loaded() -> None:
    shelf = _Shelf(300 << 20)
    with (
        shelf.get("a", size=100 << 20),
        pytest.raises(
            IntarsiaError, match=r"needs 250 MiB of memory; .* 300 MiB .* 100 MiB"
        ) as caught,
        shelf.get("b", expected=250 << 20),
    ):
        pass
    assert caught.value.code == "OUT_OF_MEMORY" and caught.value.remedy
    assert shelf.loads == ["a"]


def test_what_turns_out_too_large_is_refused_and_dropped() -> None:
    shelf = _Shelf(20)
    with pytest.raises(IntarsiaError, match="The model needs"), shelf.get("b", size=30):
        pass
    assert "b" not in shelf.cache and shelf.cache.used_bytes == 0 and shelf.freed


def test_a_load_that_fails_leaves_nothing() -> None:
    cache = ModelCache(100)

    def broken() -> bytes:
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"), cache.get("a", broken, len):
        pass
    assert "a" not in cache


def test_room_is_made_before_loading() -> None:
    shelf = _Shelf(20)
    shelf.use("a")
    shelf.use("b")
    seen: list[int] = []

    def load() -> bytes:
        seen.append(shelf.cache.used_bytes)
        return b"c" * 15

    with shelf.cache.get("c", load, len, expected_bytes=15):
        assert seen == [0]


def test_idle_models_are_unloaded_after_their_time() -> None:
    shelf = _Shelf(100)
    shelf.use("a")
    shelf.now += 100.0
    shelf.use("b")
    assert shelf.cache.release_idle(50.0) == 10
    assert "a" not in shelf.cache and "b" in shelf.cache


def test_one_model_can_be_discarded() -> None:
    shelf = _Shelf(100)
    shelf.use("a")
    assert (shelf.cache.discard("a"), shelf.cache.discard("a")) == (10, 0)
