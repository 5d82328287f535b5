"""Mapping templates of a WebSocket API's integrations: text in which variables are replaced.

https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-mapping-template-reference.html
"""

import base64
import re
from collections.abc import Mapping
from typing import Any, cast

from pulumi_llm_local.services.api_gateway.mapping_template import TemplateError

_VARIABLE = re.compile(r"\$context\.(?P<context>[\w.]+)|\$util\.base64Encode\((?P<encoded>[^()]+)\)|(?P<body>\$input\.body)")


def render(template: str, context: Mapping[str, Any], body: str) -> str:
    """Evaluate a request template. Raises `TemplateError` for what this does not evaluate."""

    def value(match: re.Match[str]) -> str:
        if match["body"]:
            return body
        if match["encoded"]:
            return base64.b64encode(render(match["encoded"], context, body).encode()).decode()
        found: Any = context
        for part in match["context"].split("."):
            found = cast("Mapping[str, Any]", found).get(part) if isinstance(found, Mapping) else None
        return "" if found is None else str(found)

    rest = _VARIABLE.sub("", template)
    if "$" in rest or re.search(r"#(set|if|foreach|end)\b", rest):
        raise TemplateError(f"this part of a template is not played: {rest.strip()[:60]!r}")
    return _VARIABLE.sub(value, template)
