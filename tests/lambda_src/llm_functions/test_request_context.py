"""A caller on its way through API Gateway."""

from typing import Any

import pytest

from llm_functions.request_context import caller_context, caller_from_context, credential_from_context
from llm_gateway.errors import GatewayError
from llm_gateway.identity.caller import Caller, Credential

# Names are text, whatever is in it.
NAMES: list[tuple[str, ...] | None] = [None, (), ("",), ("all",), ("one",), ("one", "two"), ("one,two",), ('"one"', "ä\\")]
CALLERS = [Caller("acme", "ci", models) for models in NAMES]


@pytest.mark.parametrize("caller", CALLERS)
def test_a_caller_survives_api_gateway(caller: Caller) -> None:
    context = caller_context(caller, Credential())
    assert all(isinstance(value, str) for value in context.values())
    assert caller_from_context(context) == caller


@pytest.mark.parametrize("credential", [Credential(key_hash="a1b2"), Credential(expires=1_800_000_000), Credential()])
def test_a_credential_survives_api_gateway(credential: Credential) -> None:
    assert credential_from_context(caller_context(Caller("acme", "ci"), credential)) == credential


@pytest.mark.parametrize("context", [None, {}, {"principalId": "x"}])
def test_without_an_authorizer_nothing_is_checked_again(context: Any) -> None:
    assert credential_from_context(context) == Credential()


@pytest.mark.parametrize("context", [None, {}, {"principalId": "x"}, {"key": "ci", "models": ""}])
def test_without_an_authorizers_word_nobody_calls(context: Any) -> None:
    with pytest.raises(GatewayError) as refused:
        caller_from_context(context)
    assert (refused.value.status, refused.value.code) == (401, "missing_api_key")


@pytest.mark.parametrize("models", ["", "one,two", "[]x", "null", "1", '{"all": true}', "[1]", '["one", null]', '"everything"'])
def test_what_an_authorizer_does_not_say_of_models_allows_none(models: str) -> None:
    for context in ({"tenant": "acme", "key": "ci", "models": models}, {"tenant": "acme", "key": "ci"}):
        with pytest.raises(GatewayError) as refused:
            caller_from_context(context)
        assert (refused.value.status, refused.value.code) == (500, "authorizer_failed")
