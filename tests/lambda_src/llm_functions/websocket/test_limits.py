"""What bounds a caller of the WebSocket API: its open connections, and how often it opens new ones."""

import asyncio
from typing import Any

import pytest

from llm_gateway.aws.dynamodb import DynamoDB
from llm_gateway.errors import GatewayError
from llm_gateway.identity.caller import ANONYMOUS, Caller, Credential
from llm_gateway.identity.connections import ConnectionTable, Limits
from llm_gateway.identity.open_connections import LIFE_SECONDS, OPENINGS, WINDOW_SECONDS
from support.websocket_api import CONNECTIONS

CALLER = Caller("acme", "ci")


async def opens(table: ConnectionTable, connection: str, limit: int = 3, caller: Caller = CALLER) -> bool:
    try:
        await table.add(connection, caller, Credential(), limit)
    except GatewayError as error:
        assert (error.code, error.status) == ("too_many_connections", 429)
        return False
    return True


async def counted(dynamodb: DynamoDB) -> dict[str, Any]:
    item = await dynamodb.get_item(CONNECTIONS, {"id": {"S": '["connections","acme","ci"]'}}, consistent=True)
    assert item is not None
    return item


async def test_of_fifty_at_once_as_many_connect_as_may(table: ConnectionTable, dynamodb: DynamoDB) -> None:
    assert sum(await asyncio.gather(*(opens(table, f"c{n}", 20) for n in range(50)))) == 20
    assert (await counted(dynamodb))["open_connections"] == {"N": "20"}


async def test_a_connection_that_ends_makes_room_for_one(table: ConnectionTable) -> None:
    assert [await opens(table, f"c{n}") for n in range(4)] == [True, True, True, False]
    for _ in range(3):
        await table.remove("c0")  # API Gateway may report it again
    await table.remove("c3")  # it never began
    assert [await opens(table, f"d{n}") for n in range(2)] == [True, False]


async def test_callers_are_counted_by_themselves_and_without_authorization_not_at_all(table: ConnectionTable) -> None:
    others = [Caller("acme", "other"), Caller("globex", "ci"), CALLER]
    assert [[await opens(table, f"{caller}{n}", 1, caller) for n in range(2)] for caller in others] == [[True, False]] * 3
    assert all([await opens(table, f"visitor{n}", 1, ANONYMOUS) for n in range(3)])


async def test_a_key_has_a_limit_of_its_own(table: ConnectionTable) -> None:
    few, many = (Caller("acme", name, connections=limit) for name, limit in (("few", 1), ("many", 5)))
    opened = {
        caller.key: [await opens(table, f"{caller.key}{n}", 3, caller) for n in range(6)].count(True) for caller in (few, many)
    }
    assert opened == {"few": 1, "many": 5}


# Seconds after a connection whose end API Gateway did not report -> whether another may begin.
LOST: dict[str, tuple[float, bool]] = {
    "it may still be open": (LIFE_SECONDS - 1, False),
    "none lives so long": (LIFE_SECONDS + WINDOW_SECONDS, True),
    "days later": (5 * 24 * 3600, True),
}


@pytest.mark.parametrize(("seconds", "free"), LOST.values(), ids=LOST)
async def test_a_connection_whose_end_nobody_reported_ends_by_its_time(
    table: ConnectionTable, now: Any, seconds: float, free: bool
) -> None:
    assert [await opens(table, f"c{n}") for n in range(3)] == [True] * 3
    await table.remove("c0")
    assert await opens(table, "c4")
    now.seconds += seconds
    assert await opens(table, "d0") == free
    if free:
        # All of them come back at once, and no more than may. A late report of an old one changes nothing.
        await table.remove("c1")
        assert sum(await asyncio.gather(*(opens(table, f"e{n}") for n in range(5)))) == 2


async def test_the_callers_item_stays_small_and_its_sum_right(table: ConnectionTable, dynamodb: DynamoDB, now: Any) -> None:
    for n in range(40):
        assert await opens(table, f"lost{n}", 1000)
        assert await opens(table, f"ended{n}", 1000)
        await table.remove(f"ended{n}")
        now.seconds += WINDOW_SECONDS
    item = await counted(dynamodb)
    windows = [name for name in item if name.startswith("began_")]
    assert len(windows) <= LIFE_SECONDS // WINDOW_SECONDS + 2
    assert item["open_connections"] == {"N": str(len(windows))}
    assert sum(len(name) + len(str(value)) for name, value in item.items()) < 1024


async def test_a_client_that_connects_again_and_again_is_stopped_until_the_next_window(
    table: ConnectionTable, now: Any
) -> None:
    for n in range(OPENINGS):
        assert await opens(table, f"c{n}", 1)
        await table.remove(f"c{n}")
    assert not await opens(table, "more", 1)
    now.seconds += WINDOW_SECONDS
    assert await opens(table, "later", 1)


async def test_more_connections_do_not_run_more_generations_of_a_key(table: ConnectionTable) -> None:
    limits = Limits(per_connection=1, per_key=3)
    for n in range(12):
        assert await opens(table, f"c{n}", 12)

    async def runs(n: int) -> bool:
        try:
            await table.lease(f"c{n}", CALLER, f"run-{n}", limits, 60)
        except GatewayError:
            return False
        return True

    assert sum(await asyncio.gather(*(runs(n) for n in range(12)))) == 3
    # A connection that ends does not end what it asked for.
    for n in range(12):
        await table.remove(f"c{n}")
    assert await opens(table, "again", 12)
    with pytest.raises(GatewayError):
        await table.lease("again", CALLER, "again", limits, 60)
