"""The messages of the protocol, read and rendered."""

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_functions.websocket import messages
from llm_gateway.errors import GatewayError
from llm_gateway.events import Delta, Done, Event, Reasoning, Usage

# a client's message -> the code of its error, None if it can be read
READ: dict[str, tuple[str, str | None]] = {
    "an id and fields": ('{"action": "chat", "id": "a-B_9", "message": "Hi"}', None),
    "64 characters": (json.dumps({"id": "x" * 64}), None),
    "65 characters": (json.dumps({"id": "x" * 65}), "invalid_value"),
    "an empty id": ('{"id": ""}', "invalid_value"),
    "no id": ('{"action": "chat"}', "invalid_value"),
    "a number as id": ('{"id": 1}', "invalid_value"),
    "an id with a separator": ('{"id": "a#b"}', "invalid_value"),
    "an id with a line end": ('{"id": "a\\n"}', "invalid_value"),
    "a list": ("[]", "invalid_message"),
    "no JSON": ("{", "invalid_message"),
    "nested deeply": ("[" * 100_000, "invalid_message"),
    "no UTF-8": ("\udcff", "invalid_message"),
}


@pytest.mark.parametrize(("text", "code"), READ.values(), ids=READ)
def test_a_clients_message(text: str, code: str | None) -> None:
    body = text.encode("utf-8", "surrogateescape")
    if code is None:
        assert messages.parse(body).id == messages.id_of(body) == json.loads(text)["id"]
    else:
        with pytest.raises(GatewayError) as caught:
            messages.parse(body)
        assert (caught.value.code, messages.id_of(body)) == (code, None)


@pytest.mark.parametrize("seq", [None, -1, 1.5, "1", True, [], 2**53])
def test_a_resume_needs_a_number(seq: Any) -> None:
    with pytest.raises(GatewayError, match="seq: must be the number"):
        messages.since(messages.ClientMessage("a", {"seq": seq}))


_events = st.lists(st.one_of(st.builds(Delta, st.text(min_size=1)), st.builds(Reasoning, st.text(min_size=1))))


@given(_events)
def test_neighbouring_parts_become_one_message_and_no_text_is_lost(events: list[Event]) -> None:
    rendered = [json.loads(data) for data in messages.coalesced([*events, Usage(1, 2), Done("end_turn")])]
    for kind, type_ in (("delta", Delta), ("reasoning", Reasoning)):
        said = "".join(event.text for event in events if isinstance(event, type_))
        assert "".join(m["text"] for m in rendered if m["type"] == kind) == said
    names = [m["type"] for m in rendered]
    assert names[-2:] == ["usage", "done"]
    assert all(one != two for one, two in itertools.pairwise(names))


@pytest.mark.parametrize("character", ["a", "é", "€", "😀", "\x01", '"', "\\"])
def test_every_message_fits_a_frame(character: str) -> None:
    text = character * 50_000
    rendered = messages.coalesced([Delta(text)])
    assert "".join(json.loads(data)["text"] for data in rendered) == text
    assert max(len(messages.numbered("i" * 64, 10**9, data)) for data in rendered) <= 32 * 1024
    assert len(rendered) <= 2 * sum(map(len, rendered)) / (32 * 1024) + 1


def test_a_numbered_message_is_the_events_data_with_id_and_number() -> None:
    (data,) = messages.coalesced([Usage(3, 4)])
    expected = {"id": "one", "seq": 7, "type": "usage", "input_tokens": 3, "output_tokens": 4}
    assert json.loads(messages.numbered("one", 7, data)) == expected
