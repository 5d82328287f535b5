"""What an error tells the SDKs of OpenAI and of Anthropic, which try again by themselves."""

from typing import Any

import anthropic
import httpx2
import openai
import pytest

from llm_gateway import errors
from llm_gateway.errors import GatewayError

pytestmark = pytest.mark.timeout(20)


def all_failed(*failures: GatewayError) -> GatewayError:
    return errors.no_target_answered("full", [(f"t{at}", failure) for at, failure in enumerate(failures)])


# an error -> whether an SDK tries the request again
RETRIED: dict[str, tuple[GatewayError, bool]] = {
    "the request is wrong": (errors.invalid_value(problems="model: is required"), False),
    "the key is wrong": (errors.invalid_api_key(), False),
    "too many requests a second": (errors.rate_limit_exceeded(), True),
    "too many requests for today": (errors.quota_exceeded(retry_after=7200), False),
    "the provider is throttled for seconds": (errors.upstream_throttled(retry_after=20), True),
    "the provider is throttled for hours": (errors.upstream_throttled(retry_after=7200), False),
    "the provider's key is wrong": (errors.upstream_misconfigured(), False),
    "the provider failed": (errors.upstream_failed(), True),
    "the model is being loaded": (errors.model_not_ready(), True),
    "the model was too slow": (errors.upstream_timeout(), True),
    "as many as may be at once": (errors.overloaded(), True),
    "the second answer too was of the wrong form": (errors.invalid_output(reason="it is no JSON"), False),
    "all targets, for good": (all_failed(errors.upstream_misconfigured(), errors.invalid_output(reason="no")), False),
    "all targets, one for a moment": (all_failed(errors.upstream_misconfigured(), errors.upstream_unavailable()), True),
    "all targets, for hours": (all_failed(*[errors.upstream_throttled(retry_after=7200)] * 2), False),
    "all targets, of which one filters": (all_failed(errors.content_filter(), errors.upstream_misconfigured()), False),
}


@pytest.mark.parametrize(("error", "again"), RETRIED.values(), ids=RETRIED)
@pytest.mark.parametrize("sdk", ["openai", "anthropic"])
def test_a_request_that_cannot_succeed_is_not_tried_again(sdk: str, error: GatewayError, again: bool) -> None:
    asked: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(request)
        return httpx2.Response(error.status, headers=error.headers(), json=error.body("r"))

    http = httpx2.Client(transport=httpx2.MockTransport(answer))
    options: Any = {"api_key": "k", "base_url": "http://gateway", "http_client": http, "max_retries": 2}
    client: Any = openai.OpenAI(**options) if sdk == "openai" else anthropic.Anthropic(**options)
    client._sleep_for_retry = lambda **_: None
    with pytest.raises((openai.APIStatusError, anthropic.APIStatusError)):
        client.post("/v1/messages", cast_to=object, body={})
    assert len(asked) == (3 if again else 1)
    # Nothing is told where no SDK would try again.
    told = dict(error.headers()).get("x-should-retry")
    assert told == ("false" if not again and (error.status == 429 or error.status >= 500) else None)
