"""What Secrets Manager may answer: the forms of a secret, and why a key cannot be had."""

import json
from typing import Any

import pytest

from wire.callers import CHAT
from wire.harness import Harness, secret
from wire.provider_responses import FOLLOWER, KEY, OPENAI, TEXT
from wire.replying import Reply

# the secret -> the key that is sent
FORMS = {
    "text": KEY,
    "text with a line end": f"{KEY}\n",
    "JSON": json.dumps({"api_key": KEY}),
    "JSON with spaces around it": f'\n {{ "api_key" : "{KEY}" }} \n',
    "JSON with a line end in it": json.dumps({"api_key": f"{KEY}\n"}),
    "JSON with more": json.dumps({"api_key": KEY, "organization": "org-1", "list": [1]}),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
async def test_the_forms_of_a_secret(harness: Harness, form: str) -> None:
    provider = await harness.healthy(OPENAI)
    outcome = await CHAT.call(await harness.gateway(provider, secrets=[lambda _: secret(form)]))
    assert provider.upstream is not None
    assert outcome.text == TEXT and OPENAI.key_header in provider.upstream.heads[0]


def refusal(name: str, status: int = 400, message: str = "It cannot be had.", namespace: str = "") -> Reply:
    return Reply(http_response(status, {"__type": namespace + name, "Message": message}))


def http_response(status: int, body: Any) -> bytes:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    kind = "text/html" if isinstance(body, bytes) else "application/x-amz-json-1.1"
    return f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {len(content)}\r\n\r\n".encode() + content


# what Secrets Manager answers -> our status and code
NO_KEY: dict[str, tuple[Reply, int, str]] = {
    "access denied": (refusal("AccessDeniedException"), 502, "upstream_misconfigured"),
    "not found": (
        refusal("ResourceNotFoundException", message="Secrets Manager can't find it."),
        502,
        "upstream_misconfigured",
    ),
    "marked for deletion": (refusal("InvalidRequestException"), 502, "upstream_misconfigured"),
    "not decrypted": (refusal("DecryptionFailure", namespace="com.amazonaws#"), 502, "upstream_misconfigured"),
    "an expired token": (refusal("ExpiredTokenException"), 502, "upstream_misconfigured"),
    "binary": (secret({"SecretBinary": "c2stdGhl"}), 502, "upstream_misconfigured"),
    "null": (secret({"SecretString": None}), 502, "upstream_misconfigured"),
    "empty": (secret(""), 502, "upstream_misconfigured"),
    "blank": (secret(" \n"), 502, "upstream_misconfigured"),
    "JSON without api_key": (secret(json.dumps({"key": KEY})), 502, "upstream_misconfigured"),
    "an empty api_key": (secret('{"api_key": ""}'), 502, "upstream_misconfigured"),
    "a blank api_key": (secret('{"api_key": " "}'), 502, "upstream_misconfigured"),
    "an api_key that is null": (secret('{"api_key": null}'), 502, "upstream_misconfigured"),
    "an api_key that is a list": (secret(json.dumps({"api_key": [KEY]})), 502, "upstream_misconfigured"),
    "half of a JSON": (secret(f'{{"api_key": "{KEY}'), 502, "upstream_misconfigured"),
    "two lines": (secret(f"{KEY}\nx-header: {KEY}"), 502, "upstream_misconfigured"),
    "not ASCII": (secret(f"{KEY}ß"), 502, "upstream_misconfigured"),
    "no JSON object": (Reply(http_response(200, [KEY])), 502, "upstream_misconfigured"),
    "throttled": (refusal("ThrottlingException"), 503, "upstream_unavailable"),
    "their error": (refusal("InternalServiceError", 500), 503, "upstream_unavailable"),
    "an error page": (Reply(http_response(503, b"<html>Service Unavailable</html>")), 503, "upstream_unavailable"),
    "an empty error": (Reply(http_response(500, b"")), 503, "upstream_unavailable"),
    "cut": (Reply(secret().data[:-9], "closes"), 503, "upstream_unavailable"),
    "silent": (Reply(b"", "waits"), 503, "upstream_unavailable"),
}


@pytest.mark.parametrize(("answer", "status", "code"), NO_KEY.values(), ids=NO_KEY)
async def test_a_key_that_cannot_be_had(harness: Harness, answer: Reply, status: int, code: str, capsysbinary) -> None:
    provider, second = await harness.healthy(OPENAI), await harness.healthy(FOLLOWER[OPENAI.name])
    secrets = [lambda _: answer, lambda _: secret()]
    service = await harness.gateway(provider, debug=True, secrets=secrets)
    outcome = await CHAT.call(service)
    assert (outcome.status, outcome.code) == (status, code)
    assert outcome.error is not None and outcome.error["detail"]
    assert provider.upstream is not None and provider.upstream.calls == 0
    assert (await CHAT.call(service)).text == TEXT  # once the operator has mended it
    outcome = await CHAT.call(await harness.gateway(provider, second, debug=True, secrets=secrets))
    assert (outcome.text, outcome.target) == (TEXT, second.target)
    assert KEY not in outcome.raw and KEY.encode() not in capsysbinary.readouterr().out
