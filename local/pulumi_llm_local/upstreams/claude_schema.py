"""The schemas of tools that Claude refuses, at Anthropic and on Bedrock."""

import re
from typing import cast

import jsonschema_rs

from pulumi_llm_local.upstreams.model import Json

_DRAFT = "https://json-schema.org/draft/2020-12"
_PROPERTY = "^[a-zA-Z0-9_.-]{1,64}$"


def refusal(schema: Json) -> str:
    """Return why the schema of a tool is refused; empty if it is taken.

    Unions: Kilo-Org/kilocode#12246. Names of properties, at the top alone: aws-solutions-library-samples/
    accelerated-intelligent-document-processing-on-aws#709. The draft: Dokploy/mcp#74, whatever `$schema` says.
    """
    if {"anyOf", "oneOf", "allOf"} & schema.keys():
        return ": input_schema does not support oneOf, allOf, or anyOf at the top level"
    if not jsonschema_rs.meta.is_valid({**schema, "$schema": f"{_DRAFT}/schema"}):
        return f": JSON schema is invalid. It must match JSON Schema draft 2020-12 ({_DRAFT})."
    if any(re.fullmatch(_PROPERTY, name) is None for name in cast(Json, schema.get("properties") or {})):
        return f".properties: Property keys should match pattern '{_PROPERTY}'"
    return ""
