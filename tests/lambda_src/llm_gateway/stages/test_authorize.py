"""Which aliases a caller may use."""

import pytest

from llm_gateway.errors import GatewayError
from llm_gateway.identity.caller import (
    Caller,
)
from llm_gateway.stages.authorize import allowed_models, authorize
from support.chat_requests import ROUTES

# models allowed, model asked -> the alias, or the error's code
AUTHORIZED: list[tuple[tuple[str, ...] | None, str, str]] = [
    (None, "", "one"),
    (None, "two", "two"),
    (None, "three", "model_not_found"),
    ((), "", "model_not_allowed"),
    ((), "one", "model_not_allowed"),
    (("",), "", "model_not_allowed"),
    (("one,two",), "one", "model_not_allowed"),
    (("two",), "", "two"),
    (("two",), "two", "two"),
    (("two",), "one", "model_not_allowed"),
    (("two",), "three", "model_not_found"),
    (("two", "one"), "", "one"),
    (("gone",), "", "model_not_allowed"),
    (("gone",), "one", "model_not_allowed"),
]


@pytest.mark.parametrize(("models", "name", "expected"), AUTHORIZED)
def test_authorize(models: tuple[str, ...] | None, name: str, expected: str) -> None:
    caller = Caller("acme", "ci", models)
    if expected in ROUTES.names():
        assert authorize(caller, name, ROUTES).name == expected
    else:
        with pytest.raises(GatewayError) as refused:
            authorize(caller, name, ROUTES)
        assert (refused.value.code, refused.value.param) == (expected, "model")
    assert allowed_models(caller, ROUTES) == [each for each in ROUTES.names() if models is None or each in models]
