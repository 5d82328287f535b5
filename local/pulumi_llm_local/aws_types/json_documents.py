"""Policy documents given as objects: the AWS provider takes them as text or as objects, and keeps them as text.

pulumi-aws, provider/resources.go: such an argument has an alternative type (`PolicyDocument`) and the transformation
`TransformJSONDocument` of pulumi-terraform-bridge, which leaves what is not known unknown.
"""

import json
from collections.abc import Mapping
from typing import Any, cast

from pulumi_llm_local.aws_types import sdk
from pulumi_llm_local.aws_types.values import SECRET, SIGNATURE, UNKNOWN, revealed, unwrapped


def as_text(token: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """A resource's inputs, as the engine gets them, with each document as JSON text; a secret's text is a secret."""
    return {name: _text(token, name, value) for name, value in inputs.items()}


def _text(token: str, name: str, value: Any) -> Any:
    plain, secret = unwrapped(value)
    if not isinstance(plain, Mapping) or SIGNATURE in plain or not _takes_document(token, name):
        return value
    document = revealed(cast("Mapping[str, Any]", plain))
    text = UNKNOWN if UNKNOWN in json.dumps(document) else json.dumps(document, separators=(",", ":"))
    return {SIGNATURE: SECRET, "value": text} if secret or _holds_secret(plain) else text


def _takes_document(token: str, name: str) -> bool:
    if not token.startswith("aws:"):
        return False
    argument = sdk.arguments_of(sdk.arguments_class(token)).get(name)
    types = argument.types if argument else ()
    return str in types and any(getattr(each, "__name__", "").endswith("DocumentArgs") for each in types)


def _holds_secret(value: Any) -> bool:
    plain, secret = unwrapped(value)
    if isinstance(plain, Mapping):
        return secret or any(_holds_secret(item) for item in cast("Mapping[str, Any]", plain).values())
    return secret or (isinstance(plain, list) and any(_holds_secret(item) for item in cast("list[Any]", plain)))
