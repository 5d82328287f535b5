"""The form of an answer's text, as OpenAI's APIs take it.

https://platform.openai.com/docs/api-reference/chat/create#chat-create-response_format
"""

import re
from typing import Any, cast

from llm_functions.api_formats.fields import Fields, kind
from llm_gateway.errors import clipped
from llm_gateway.request import ResponseFormat

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def response_format(fields: Fields, name: str) -> ResponseFormat | None:
    """Return the form in the field `name` of a request to chat completions; None for text of any form."""
    given = fields.object(name)
    if given is None:
        return None
    shape = given.string("type", required=True)
    found: ResponseFormat | None = None
    match shape:
        case "text" | None:
            pass
        case "json_object":
            found = ResponseFormat("json_object")
        case "json_schema":
            described = given.object("json_schema")
            if described is None:
                given.wrong("json_schema", "is required, an object with name and schema")
            else:
                found = json_schema(described)
                described.no_others()
        case _:
            given.wrong("type", f"must be text, json_object or json_schema, not {clipped(shape)!r}")
    given.no_others()
    return found


def json_schema(described: Fields) -> ResponseFormat:
    """Return the form that a name, a schema and whether it is strict describe. Without a schema it is any JSON object."""
    name = described.string("name", required=True) or ""
    if name.strip() and _NAME.fullmatch(name) is None:
        described.wrong("name", f"may have up to 64 letters, digits, _ and -, not {clipped(name)!r}")
    description = described.string("description") or ""
    strict = described.boolean("strict")
    schema: Any = described.any("schema")
    if schema is None:
        return ResponseFormat("json_object", name, description)
    if not isinstance(schema, dict):
        described.wrong("schema", f"must be a JSON Schema, not {kind(schema)}")
        return ResponseFormat("json_object")
    found = cast("dict[str, Any]", schema)
    described.check_nesting("schema", found)
    if found.get("type", "object") != "object":
        described.wrong("schema", "must be of the type object; put another value into a property of one")
    return ResponseFormat("json_schema", name, description, found, strict)
