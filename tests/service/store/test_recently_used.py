import threading

import pytest

from service.store.recently_used import RecentlyUsed


def test_a_value_is_made_once() -> None:
    made: list[str] = []
    kept: RecentlyUsed[str, str] = RecentlyUsed(100, len)
    for _ in range(3):
        assert kept.find("a", lambda: made.append("a") or "value") == "value"
    assert made == ["a"]


def test_what_was_not_asked_for_the_longest_goes_first() -> None:
    made: list[str] = []
    kept: RecentlyUsed[str, str] = RecentlyUsed(8, len)

    def ask(key: str) -> None:
        kept.find(key, lambda: made.append(key) or "1234")

    for key in ("a", "b", "a", "c", "a", "b"):
        ask(key)
    assert made == ["a", "b", "c", "b"]


def test_a_value_larger_than_the_bound_is_kept_until_another_is_asked_for() -> None:
    made: list[str] = []
    kept: RecentlyUsed[str, str] = RecentlyUsed(8, len)

    def ask(key: str, value: str) -> None:
        kept.find(key, lambda: made.append(key) or value)

    for key, value in (("large", "x" * 100), ("large", "x" * 100), ("small", "x"), ("large", "x" * 100)):
        ask(key, value)
    assert made == ["large", "small", "large"]


def test_what_failed_is_tried_again() -> None:
    kept: RecentlyUsed[str, str] = RecentlyUsed(100, len)

    def fail() -> str:
        raise ValueError("not yet")

    with pytest.raises(ValueError, match="not yet"):
        kept.find("a", fail)
    assert kept.find("a", lambda: "now") == "now"


def test_who_asks_for_the_same_waits_and_who_asks_for_another_does_not() -> None:
    kept: RecentlyUsed[str, str] = RecentlyUsed(100, len)
    begun, may_end = threading.Event(), threading.Event()
    made: list[str] = []
    found: list[str] = []

    def slow() -> str:
        made.append("slow")
        begun.set()
        assert may_end.wait(30)
        return "slow"

    first = threading.Thread(target=lambda: found.append(kept.find("slow", slow)))
    first.start()
    assert begun.wait(30)
    second = threading.Thread(target=lambda: found.append(kept.find("slow", slow)))
    second.start()
    assert kept.find("quick", lambda: "quick") == "quick"
    assert found == []
    may_end.set()
    first.join(30)
    second.join(30)
    assert (found, made) == (["slow", "slow"], ["slow"])
