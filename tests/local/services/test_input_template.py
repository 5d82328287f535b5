"""Input templates of pipes, by the rules of EventBridge's user guide."""

from typing import Any

import pytest

from pulumi_llm_local.services.input_template import InputTemplate, InputTemplateError, parameter

EVENT: dict[str, Any] = {
    "eventName": "INSERT",
    "dynamodb": {"NewImage": {"status": {"S": "queued"}, "said": {"S": 'a "word"'}, "n": {"N": "7"}, "ok": {"BOOL": True}}},
    "list": [{"id": "a"}, {"id": "b"}],
}
RENDERED: dict[str, tuple[str, Any]] = {
    "static": ('{"a": "b"}', {"a": "b"}),
    "a text without quotes": ('{"s": <$.dynamodb.NewImage.status.S>}', {"s": "queued"}),
    "a text with quotes": ('{"s": "<$.dynamodb.NewImage.status.S>"}', {"s": "queued"}),
    "within a text": ('{"s": "is <$.dynamodb.NewImage.status.S>."}', {"s": "is queued."}),
    "quotes in a text without quotes": ('{"s": <$.dynamodb.NewImage.said.S>}', {"s": 'a "word"'}),
    "a number of DynamoDB's is a text": ('{"n": <$.dynamodb.NewImage.n.N>}', {"n": "7"}),
    "a boolean": ('{"b": <$.dynamodb.NewImage.ok.BOOL>}', {"b": True}),
    "an object": ('{"o": <$.dynamodb.NewImage.status>}', {"o": {"S": "queued"}}),
    "an object within a text": ('{"o": "<$.dynamodb.NewImage.status>"}', {"o": "{S: queued}"}),
    "an item of an array": ('{"i": <$.list[1].id>}', {"i": "b"}),
    "the path alone": ("<$.dynamodb.NewImage.status>", {"S": "queued"}),
    "a missing one within a text": ('{"m": "<$.missing.S>"}', {"m": ""}),
    "an escaped quote": ('{"m": "\\"<$.eventName>\\""}', {"m": '"INSERT"'}),
    "a reserved variable": ('{"p": <aws.pipes.pipe-name>}', {"p": "outbox"}),
    "what is no variable": ('{"p": "<b>"}', {"p": "<b>"}),
}


@pytest.mark.parametrize(("template", "expected"), RENDERED.values(), ids=RENDERED)
def test_what_a_target_gets(template: str, expected: Any) -> None:
    assert InputTemplate(template).rendered(EVENT, {"aws.pipes.pipe-name": "outbox"}) == expected


@pytest.mark.parametrize(
    "template",
    ['{"m": <$.missing.S>}', '{"s": "<$.dynamodb.NewImage.said.S>"}', "Hello, <$.eventName>"],
    ids=["a missing one without quotes", "quotes within quotes", "a text"],
)
def test_what_makes_no_json(template: str) -> None:
    with pytest.raises(InputTemplateError, match="made no JSON"):
        InputTemplate(template).rendered(EVENT, {})


@pytest.mark.parametrize("variable", ["$.list[*].id", "$..id", "$['a']", "aws.pipes.unknown", "aws.events.rule-name"])
def test_what_is_refused(variable: str) -> None:
    with pytest.raises(InputTemplateError, match="unknown, or not played"):
        InputTemplate(f'{{"a": <{variable}>}}')


def test_a_parameter_is_a_path_as_a_whole() -> None:
    assert parameter("$.dynamodb.NewImage.status.S", EVENT) == "queued"
    assert parameter("job.$.eventName", EVENT) == "job.$.eventName"
    for path in ("$.missing", "$.dynamodb"):
        with pytest.raises(InputTemplateError, match="no text in the event"):
            parameter(path, EVENT)
    with pytest.raises(InputTemplateError, match="not played"):
        parameter("$.list[*]", EVENT)
