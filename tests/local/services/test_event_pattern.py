"""Event patterns, by the examples and the words of EventBridge's user guide."""

import json
from typing import Any

import pytest

from pulumi_llm_local.services.event_pattern import EventPattern, EventPatternError

EVENT: dict[str, Any] = {
    "eventName": "MODIFY",
    "detail": {
        "state": "running",
        "nothing": None,
        "empty": [],
        "count": 3,
        "done": True,
        "file": "Photo.PNG",
        "tags": ["a", "b"],
        "parts": [{"kind": "x"}, {"kind": "y"}],
        "inner": {"S": "one"},
    },
}
MATCHES: dict[str, tuple[Any, bool]] = {
    "equal": ({"state": ["running"]}, True),
    "one of": ({"state": ["queued", "running"]}, True),
    "none of": ({"state": ["queued"]}, False),
    "every field": ({"state": ["running"], "count": [4]}, False),
    "null": ({"nothing": [None]}, True),
    "null is not absent": ({"absent": [None]}, False),
    "a number": ({"count": [3]}, True),
    "true is not 1": ({"done": [1]}, False),
    "true": ({"done": [True]}, True),
    "a text is no number": ({"count": ["3"]}, False),
    "one of an array": ({"tags": ["b"]}, True),
    "an object of an array": ({"parts": {"kind": ["y"]}}, True),
    "absent, below": ({"missing": {"S": [{"exists": False}]}}, True),
    "absent, below, wanted": ({"missing": {"S": [{"exists": True}]}}, False),
    "there": ({"inner": {"S": [{"exists": True}]}}, True),
    "exists is for leaves": ({"inner": [{"exists": True}]}, False),
    "an empty array has no leaf": ({"empty": [{"exists": True}]}, False),
    "null is there": ({"nothing": [{"exists": True}]}, True),
    "prefix": ({"state": [{"prefix": "run"}]}, True),
    "prefix of a number": ({"count": [{"prefix": "3"}]}, False),
    "prefix, any case": ({"file": [{"prefix": {"equals-ignore-case": "PHOTO"}}]}, True),
    "suffix": ({"file": [{"suffix": ".png"}]}, False),
    "suffix, any case": ({"file": [{"suffix": {"equals-ignore-case": ".png"}}]}, True),
    "any case": ({"file": [{"equals-ignore-case": "photo.png"}]}, True),
    "anything but": ({"state": [{"anything-but": "queued"}]}, True),
    "anything but, of a list": ({"state": [{"anything-but": ["queued", "running"]}]}, False),
    "anything but, numbers": ({"count": [{"anything-but": [1, 2]}]}, True),
    "anything but needs the field": ({"absent": [{"anything-but": "queued"}]}, False),
    "anything but a prefix": ({"state": [{"anything-but": {"prefix": "run"}}]}, False),
    "anything but suffixes": ({"file": [{"anything-but": {"suffix": [".gif", ".jpg"]}}]}, True),
    "numeric": ({"count": [{"numeric": [">", 0, "<=", 3]}]}, True),
    "numeric, out of it": ({"count": [{"numeric": ["<", 3]}]}, False),
    "numeric of a text": ({"state": [{"numeric": ["=", 3]}]}, False),
    "or": ({"$or": [{"state": ["queued"]}, {"count": [{"numeric": ["=", 3]}]}]}, True),
    "or, and more": ({"done": [False], "$or": [{"state": ["running"]}, {"count": [3]}]}, False),
}


@pytest.mark.parametrize(("pattern", "expected"), MATCHES.values(), ids=MATCHES)
def test_which_events_match(pattern: Any, *, expected: bool) -> None:
    assert EventPattern(json.dumps({"detail": pattern})).matches(EVENT) is expected


REFUSED: dict[str, tuple[str, str]] = {
    "no JSON": ("{", "not JSON"),
    "no object": ("[]", "not a JSON object"),
    "empty": ("{}", "empty object"),
    "empty, below": ('{"a": {}}', "a: an empty object"),
    "a plain value": ('{"a": {"b": "x"}}', 'a.b: "x" must be an object, or an array'),
    "an empty array": ('{"a": []}', "a: \\[\\] must be"),
    "an array in an array": ('{"a": [["x"]]}', "array in an array"),
    "an unknown operator": ('{"a": [{"begins-with": "x"}]}', "a: the operator begins-with is unknown"),
    "one that is not played": ('{"a": [{"cidr": "10.0.0.0/24"}]}', "the operator cidr is unknown, or not played"),
    "two operators": ('{"a": [{"prefix": "x", "suffix": "y"}]}', "one operator, not 2"),
    "exists with a text": ('{"a": [{"exists": "true"}]}', "no value of the operator exists"),
    "prefix with a number": ('{"a": [{"prefix": 1}]}', "no value of the operator prefix"),
    "half a comparison": ('{"a": [{"numeric": [">"]}]}', "no value of the operator numeric"),
    "a comparison by a word": ('{"a": [{"numeric": ["above", 1]}]}', "no value of the operator numeric"),
    "a number that is too large": ('{"a": [{"numeric": ["<", 6e9]}]}', "no value of the operator numeric"),
    "anything but a mixture": ('{"a": [{"anything-but": ["x", 1]}]}', "no value of the operator anything-but"),
    "anything but a wildcard": ('{"a": [{"anything-but": {"wildcard": "*"}}]}', "anything-but with wildcard"),
    "or of one": ('{"$or": [{"a": ["x"]}]}', "at least two"),
}


@pytest.mark.parametrize(("text", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(text: str, message: str) -> None:
    with pytest.raises(EventPatternError, match=message):
        EventPattern(text)


def test_a_pipe_has_fewer_operators() -> None:
    text = '{"a": [{"anything-but": {"prefix": "x"}}]}'
    EventPattern(text)
    with pytest.raises(EventPatternError, match="a pipe's filter has no anything-but with prefix"):
        EventPattern(text, of_pipe=True)
