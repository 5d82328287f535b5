"""The table of keys, and what is remembered of it."""

from typing import Any

import pytest

from llm_gateway.identity import keys
from llm_gateway.identity.caller import (
    Caller,
)
from llm_gateway.identity.keys import KeyStore


class Table:
    """A DynamoDB that holds one item a hash, and counts who asks."""

    def __init__(self, **callers: Caller) -> None:
        self.items = {name: keys.item(name, caller) for name, caller in callers.items()}
        self.asked: list[str] = []

    async def get_item(self, table: str, key: dict[str, Any]) -> dict[str, Any] | None:
        assert table == "keys"
        self.asked.append(key["key_hash"]["S"])
        return self.items.get(self.asked[-1])


class Seconds:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def store(table: Table) -> tuple[KeyStore, Seconds]:
    clock = Seconds()
    return KeyStore(table, "keys", clock), clock  # type: ignore[arg-type]


async def test_a_known_key_is_remembered_for_its_time() -> None:
    caller = Caller("acme", "ci", ("one", "two"), connections=7)
    table = Table(a=caller)
    known, clock = store(table)
    assert [await known.find("a") for _ in range(3)] == [caller] * 3 and table.asked == ["a"]
    clock.now += keys.TRUST_SECONDS - 0.001
    assert await known.find("a") == caller and table.asked == ["a"]
    clock.now += 0.001
    assert await known.find("a") == caller and table.asked == ["a", "a"]


async def test_a_key_that_is_taken_away_is_refused_after_that_time() -> None:
    table = Table(a=Caller("acme", "ci"))
    known, clock = store(table)
    assert await known.find("a") is not None
    table.items.clear()
    assert await known.find("a") is not None
    clock.now += keys.TRUST_SECONDS
    assert await known.find("a") is None and await known.find("a") is None


async def test_an_unknown_key_is_not_remembered() -> None:
    table = Table()
    known, _ = store(table)
    assert await known.find("a") is None
    table.items["a"] = keys.item("a", Caller("acme", "ci"))
    assert await known.find("a") == Caller("acme", "ci")


async def test_what_is_remembered_is_bounded(monkeypatch) -> None:
    monkeypatch.setattr(keys, "_MAX_CACHED_KEYS", 3)
    table = Table(**{name: Caller("acme", name) for name in "abcdef"})
    known, _ = store(table)
    for name in "abcdef":
        await known.find(name)
    assert len(known._cache) == 3
    table.asked.clear()
    for name in "defa":
        await known.find(name)
    assert table.asked == ["a"]


async def test_a_table_that_fails_is_no_answer() -> None:
    class Broken:
        async def get_item(self, table: str, key: Any) -> None:
            raise RuntimeError("no table")

    with pytest.raises(RuntimeError):
        await KeyStore(Broken(), "keys", Seconds()).find("a")  # type: ignore[arg-type]
