"""Mapping templates of a WebSocket API's integrations."""

import base64
import json

import pytest

from pulumi_llm_local.services.api_gateway.mapping_template import TemplateError
from pulumi_llm_local.services.api_gateway.websocket_template import render

CONTEXT = {"connectionId": "abc=", "authorizer": {"tenant": "acme"}}


def test_variables_are_replaced() -> None:
    body = '{"a": "$context.connectionId"}'  # a client's text is never evaluated
    template = '{"id":"$context.connectionId","tenant":"$context.authorizer.tenant","body":"$util.base64Encode($input.body)"}'
    encoded = base64.b64encode(body.encode()).decode()
    assert json.loads(render(template, CONTEXT, body)) == {"id": "abc=", "tenant": "acme", "body": encoded}
    assert render("$input.body", CONTEXT, body) == body


def test_what_is_not_there_is_empty() -> None:
    assert render("[$context.authorizer.other.name]", CONTEXT, "") == "[]"


@pytest.mark.parametrize("template", ["$input.json('$.a')", "#set($a = 1)", "$util.escapeJavaScript($input.body)"])
def test_what_is_not_played_is_said(template: str) -> None:
    with pytest.raises(TemplateError, match="not played"):
        render(template, CONTEXT, "{}")
