"""The input templates and the dynamic path parameters of EventBridge Pipes.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-pipes-input-transformation.html
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-pipes-event-target.html#pipes-dynamic-path-params

Outside of a text a variable becomes its value as JSON: "Quotes are not required for variables that represent strings." Within a
text it is put in as it is: "EventBridge doesn't escape values", and an object loses its quotes. "If you specify a variable to
match a JSON path that doesn't exist in the event, that variable isn't created and won't appear in the output": what is no JSON
any more then fails. Not played: wildcards in a path.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, Final, cast

_VARIABLES: Final = (
    "aws.pipes.pipe-arn",
    "aws.pipes.pipe-name",
    "aws.pipes.source-arn",
    "aws.pipes.target-arn",
    "aws.pipes.event.ingestion-time",
    "aws.pipes.event.json",
)
_MISSING: Final = object()
_STEP: Final = re.compile(r"\.([\w/-]+)|\[(\d+)\]")
_PATH: Final = re.compile(r"\$(\.[\w/-]+|\[\d+\])*")
# A quote that is not escaped, a variable, or another character with the backslash before it.
_TOKEN: Final = re.compile(r"""(?P<quote>")|<(?P<variable>(?:\$|aws\.)[^<>]*)>|\\.|.""", re.DOTALL)


class InputTemplateError(Exception):
    """AWS refuses the template, it is not played here, or what it made is not JSON."""


class InputTemplate:
    """One template. Raises `InputTemplateError`."""

    def __init__(self, text: str) -> None:
        self._text = text
        for token in _TOKEN.finditer(text):
            variable = token["variable"]
            if variable is not None and variable not in _VARIABLES and not _PATH.fullmatch(variable):
                raise InputTemplateError(f"<{variable}> in an input template is unknown, or not played")

    def rendered(self, event: Mapping[str, Any], variables: Mapping[str, Any]) -> Any:
        """Return what a target gets.

        Args:
            event: The event of the pipe's source.
            variables: The values of the reserved variables.

        Raises:
            InputTemplateError: It is not JSON.
        """
        parts: list[str] = []
        in_text = False
        for token in _TOKEN.finditer(self._text):
            in_text ^= token["quote"] is not None
            variable = token["variable"]
            if variable is None:
                parts.append(token[0])
                continue
            value = value_at(event, variable) if variable.startswith("$") else variables.get(variable, _MISSING)
            if value is not _MISSING:
                parts.append(_within_text(value) if in_text else json.dumps(value))
        text = "".join(parts)
        try:
            return json.loads(text)
        except ValueError as error:
            raise InputTemplateError(f"the input template made no JSON ({error}): {text[:200]}") from None


def parameter(value: str, event: Mapping[str, Any]) -> str:
    """Return a target's parameter, which is a path as a whole or not at all. Raises `InputTemplateError`."""
    if not value.startswith("$"):
        return value
    check_parameter(value)
    found = value_at(event, value)
    if not isinstance(found, str):
        raise InputTemplateError(f"{value} is no text in the event")
    return found


def check_parameter(value: str) -> None:
    """Raises `InputTemplateError` for a path that is unknown, or not played."""
    if value.startswith("$") and not _PATH.fullmatch(value):
        raise InputTemplateError(f"the path {value} is unknown, or not played")


def value_at(event: Any, path: str) -> Any:
    """Return the value at a path, or something that is no JSON value where there is none."""
    value: Any = event
    for name, index in _STEP.findall(path):
        if name:
            fields: Mapping[str, Any] = cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}
            value = fields.get(name, _MISSING)
        else:
            items = cast("list[Any]", value) if isinstance(value, list) else []
            value = items[int(index)] if int(index) < len(items) else _MISSING
    return value


def _within_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value).replace('"', "")
