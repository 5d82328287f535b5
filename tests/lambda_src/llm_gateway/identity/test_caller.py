"""Who calls: the key that is presented."""

import hashlib

import pytest

from llm_gateway.identity.caller import key_hash, presented_key, presented_ticket

PRESENTED: dict[str, tuple[dict[str, str], str | None]] = {
    "nothing": ({}, None),
    "bearer": ({"Authorization": "Bearer abc"}, "abc"),
    "bearer, small": ({"authorization": "bearer abc"}, "abc"),
    "bearer, loud": ({"AUTHORIZATION": "BEARER  abc "}, "abc"),
    "x-api-key": ({"x-api-key": "abc"}, "abc"),
    "X-Api-Key": ({"X-Api-Key": " abc "}, "abc"),
    "both: bearer counts": ({"x-api-key": "two", "authorization": "Bearer one"}, "one"),
    "an empty bearer": ({"authorization": "Bearer ", "x-api-key": "two"}, None),
    "another scheme": ({"authorization": "Basic abc"}, None),
    "another scheme beside a key": ({"authorization": "AWS4-HMAC-SHA256 x", "x-api-key": "two"}, None),
    "an empty header beside a key": ({"authorization": "", "x-api-key": "two"}, "two"),
    "white space beside a key": ({"authorization": " ", "x-api-key": "two"}, None),
    "a no-break space beside a key": ({"authorization": "\xa0", "x-api-key": "two"}, None),
    "a control character beside a subprotocol": ({"authorization": "\x1f", "sec-websocket-protocol": "llm.key.dHdv"}, None),
    "no scheme": ({"authorization": "abc"}, None),
    "an empty key": ({"x-api-key": " "}, None),
    "a subprotocol": ({"Sec-WebSocket-Protocol": "llm.chat.v1, llm.key.YS9iPQ"}, "a/b="),
    "a subprotocol in base64url": ({"sec-websocket-protocol": "llm.key.Pj4-Pz8_"}, ">>>???"),
    "bearer beside a subprotocol": ({"authorization": "Bearer one", "sec-websocket-protocol": "llm.key.dHdv"}, "one"),
    "another scheme beside a subprotocol": ({"authorization": "Basic x", "sec-websocket-protocol": "llm.key.dHdv"}, None),
    "a subprotocol without a key": ({"sec-websocket-protocol": "llm.chat.v1, llm.key."}, None),
    "a subprotocol that is no base64": ({"sec-websocket-protocol": "llm.key.a"}, None),
    "a subprotocol that is no text": ({"sec-websocket-protocol": "llm.key._w"}, None),
}


@pytest.mark.parametrize(("headers", "key"), PRESENTED.values(), ids=PRESENTED)
def test_presented_key(headers: dict[str, str], key: str | None) -> None:
    assert presented_key(headers) == key


TICKETS: dict[str, tuple[dict[str, str], str | None]] = {
    "none": ({"sec-websocket-protocol": "llm.chat.v1, llm.key.YS9iPQ"}, None),
    "one": ({"Sec-WebSocket-Protocol": "llm.chat.v1, llm.ticket.abc-_"}, "abc-_"),
    "the first of two": ({"sec-websocket-protocol": "llm.ticket.a,llm.ticket.b"}, "a"),
    "an empty one": ({"sec-websocket-protocol": "llm.ticket."}, ""),
    "a no-break space beside it": ({"authorization": "\xa0", "sec-websocket-protocol": "llm.ticket.a"}, None),
    "bearer beside it": ({"authorization": "Bearer one", "sec-websocket-protocol": "llm.ticket.a"}, None),
}


@pytest.mark.parametrize(("headers", "ticket"), TICKETS.values(), ids=TICKETS)
def test_presented_ticket(headers: dict[str, str], ticket: str | None) -> None:
    assert presented_ticket(headers) == ticket


def test_half_a_character_is_a_wrong_key() -> None:
    assert key_hash("\ud800") not in {key_hash(""), key_hash("?"), key_hash("\ufffd")}


def test_a_key_is_stored_as_its_sha256() -> None:
    assert key_hash("schlüssel") == hashlib.sha256("schlüssel".encode()).hexdigest()
