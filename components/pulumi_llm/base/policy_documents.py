"""The form of an IAM policy document, checked as far as it is known."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

import pulumi

from pulumi_llm.base.problems import hint

# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements.html
_DOCUMENT = ("Version", "Id", "Statement")
IDENTITY = ("Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition")
ANY = (*IDENTITY, "Principal", "NotPrincipal")


def parsed(value: Any) -> Any:
    """A document that may be JSON text, as what that text holds."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise ValueError("is not JSON") from None


def read_document(value: Any) -> Mapping[str, Any]:
    """Read a document, which may be JSON text. No value is shown, for the whole document would be.

    Raises:
        ValueError: says what is no document in it.
    """
    value = parsed(value)
    if not isinstance(value, Mapping):
        raise ValueError("must be a policy document: an object with a Statement")
    document = cast("Mapping[str, Any]", value)
    for element in document:
        if element not in _DOCUMENT:
            raise ValueError(f"is a policy document with the element {element!r}; {hint(str(element), _DOCUMENT)}")
    return document


def check_statements(statements: Any, elements: Sequence[str], needed: Sequence[str]) -> None:
    """Check statements, of which one need not be in a list; an Output in them is not known yet.

    Args:
        statements: The statements.
        elements: The elements that one may have.
        needed: Those that it must have, or their opposites: "Action", or "NotAction".

    Raises:
        ValueError: says what is wrong with the first that is.
    """
    listed = cast("Sequence[Any]", statements if isinstance(statements, list | tuple) else [statements])
    for index, given in enumerate(listed):
        if isinstance(given, pulumi.Output):
            continue
        if not isinstance(given, Mapping):
            raise ValueError(f"statement {index} must hold keys and values, such as Effect, Action and Resource")
        statement = cast("Mapping[str, Any]", given)
        for element in statement:
            if element not in elements:
                raise ValueError(f"statement {index} has the element {element!r}; {hint(str(element), elements)}")
        effect = statement.get("Effect")
        if not isinstance(effect, pulumi.Output) and effect not in ("Allow", "Deny"):
            raise ValueError(f"statement {index} must have an Effect, 'Allow' or 'Deny'")
        for element in needed:
            if (element in statement) == (f"Not{element}" in statement):
                raise ValueError(f"statement {index} must have {element} or Not{element}, one of them")
