"""Mapping templates: of the Velocity Template Language as much as responses to preflight requests need.

Variables and overrides: https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-mapping-template-reference.html
and apigateway-override-request-response-parameters.html there. airspeed, the library, cannot assign to a header with a hyphen.
"""

import re
from collections.abc import Callable, Mapping


class TemplateError(Exception):
    """The template cannot be evaluated here, or API Gateway would answer it with a 5XX."""


def overridden_headers(template: str, parameter: Callable[[str], str]) -> Mapping[str, str]:
    """Evaluate a response template, and return the response headers that it sets.

    Args:
        template: The template.
        parameter: Returns the request's parameter of a name, or "", as `$input.params(NAME)` does.

    Raises:
        TemplateError: The template has what this does not evaluate, or sets a header twice.
    """
    evaluation = _Evaluation(parameter)
    evaluation.block(_tokens(template), run=True)
    return evaluation.headers


_TOKEN = re.compile(
    r"#set\((?P<name>\$[\w.-]+)\s*=\s*(?P<value>[^()]+(?:\([^()]*\))?)\)|#if\((?P<condition>[^()]+)\)|(?P<end>#end)"
)
_HEADER = "$context.responseOverride.header."


def _tokens(template: str) -> list[re.Match[str]]:
    rest = _TOKEN.sub("", template).strip()
    if rest:
        raise TemplateError(f"this part of a template is not played: {rest[:60]!r}")
    return list(_TOKEN.finditer(template))


class _Evaluation:
    def __init__(self, parameter: Callable[[str], str]) -> None:
        self._parameter = parameter
        self._variables: dict[str, str] = {}
        self.headers: dict[str, str] = {}

    def block(self, tokens: list[re.Match[str]], *, run: bool) -> None:
        """Evaluate up to the #end of this block; without `run` only read it."""
        while tokens:
            token = tokens.pop(0)
            if token["end"]:
                return
            if token["condition"]:
                self.block(tokens, run=run and self._holds(token["condition"]))
            elif run:
                self._set(token["name"], self._value(token["value"].strip()))

    def _set(self, name: str, value: str) -> None:
        if not name.startswith(_HEADER):
            self._variables[name] = value
        elif (header := name.removeprefix(_HEADER)) in self.headers:
            raise TemplateError(f"{header} is overridden twice")
        else:
            self.headers[header] = value

    def _holds(self, condition: str) -> bool:
        return any(self._equal(*each.split("==")) for each in condition.split("||"))

    def _equal(self, left: str, right: str) -> bool:
        return self._value(left.strip()) == self._value(right.strip())

    def _value(self, text: str) -> str:
        if literal := re.fullmatch(r'"([^"$#]*)"', text):
            return literal[1]
        if parameter := re.fullmatch(r'\$input\.params\("([^"]+)"\)', text):
            return self._parameter(parameter[1])
        if text in self._variables:
            return self._variables[text]
        raise TemplateError(f"{text!r} in a template is not played")
