"""The keys of providers with an endpoint: where they come from, when they are read anew, and that nobody sees them."""

import asyncio
import html
import json
import re
from collections.abc import Callable
from urllib.parse import unquote

import pytest

from wire.bedrock import Wire
from wire.callers import CHAT, TRANSPORTS, Transport
from wire.harness import Harness, ProviderAt, secret
from wire.provider_responses import ANTHROPIC, KEY, OPENAI, TEXT, ProviderResponses, anthropic_error, openai_error
from wire.replying import Reply, ReplyingUpstream

KEYED = pytest.mark.parametrize("provider", [OPENAI, ANTHROPIC], ids=lambda provider: provider.name)


def refusal_of(provider: ProviderResponses, status: int, message: str) -> bytes:
    if provider is ANTHROPIC:
        return anthropic_error(status, "authentication_error" if status == 401 else "invalid_request_error", message)
    return openai_error(status, message, "invalid_request_error", "invalid_api_key" if status == 401 else None)


def accepting(upstream: ReplyingUpstream, provider: ProviderResponses, key: str) -> Callable[[bool], Reply]:
    """A reply that takes one key and refuses all others, in words that repeat the key that was sent."""

    def reply(stream: bool) -> Reply:
        head = upstream.heads[-1]
        if key in head:
            return provider.answer(stream)
        sent = head.partition(provider.key_header.split(KEY)[0])[2].splitlines()[0]
        return Reply(refusal_of(provider, 401, f"Incorrect API key provided: {sent}"))

    return reply


async def guarded(harness: Harness, provider: ProviderResponses, key: str = KEY) -> tuple[ProviderAt, ReplyingUpstream]:
    """A provider that takes this key only."""
    upstream = await harness.upstream()
    upstream.replies = [accepting(upstream, provider, key)]
    return ProviderAt(provider, upstream.url, upstream), upstream


@KEYED
async def test_a_key_is_read_once_for_many_calls(harness: Harness, provider: ProviderResponses) -> None:
    guard, _ = await guarded(harness, provider)
    service = await harness.gateway(guard)
    outcomes = await asyncio.gather(*(transport.call(service) for transport in [*TRANSPORTS.values()] * 5))
    assert [outcome.text for outcome in outcomes] == [TEXT] * 20
    assert provider.endpoint is not None
    assert harness.secrets.bodies == [{"SecretId": provider.endpoint.secret_arn}]
    assert "\r\nx-amz-target: secretsmanager.GetSecretValue\r\n" in harness.secrets.heads[0]
    assert "/us-east-1/secretsmanager/aws4_request" in harness.secrets.heads[0]


@KEYED
@pytest.mark.parametrize("many", [1, 8])
async def test_a_replaced_key_is_noticed_when_the_old_one_is_refused(
    harness: Harness, provider: ProviderResponses, many: int
) -> None:
    new = KEY[::-1]
    guard, upstream = await guarded(harness, provider)
    service = await harness.gateway(guard, secrets=[lambda _: secret(KEY), lambda _: secret(new)])
    assert (await CHAT.call(service)).text == TEXT
    upstream.replies = [accepting(upstream, provider, new)]
    outcomes = await asyncio.gather(*(CHAT.call(service) for _ in range(many)))
    refused = {(outcome.status, outcome.code) for outcome in outcomes if outcome.error is not None}
    assert refused == {(502, "upstream_misconfigured")}
    assert (await CHAT.call(service)).text == TEXT
    assert harness.secrets.calls == 2


@KEYED
@pytest.mark.parametrize("transport", [CHAT, TRANSPORTS["openai stream"]], ids=["complete", "streamed"])
async def test_no_answer_and_no_line_of_the_log_tells_the_key(
    harness: Harness, provider: ProviderResponses, transport: Transport, capfdbinary, caplog
) -> None:
    """Not even where the provider repeats it, in whatever place and however it is escaped."""
    guard, upstream = await guarded(harness, provider, key="another")
    repeats = "the header was: " + provider.key_header.strip()
    error = {"error": {"message": repeats, "type": "invalid_request_error", "code": None}}
    in_json = json.dumps(error).replace("+", "\\u002B").replace("/", "\\/")
    in_html = repeats.replace("+", "&#43;").replace("/", "&#x2f;").replace("=", "%3D")
    event = provider.head + Wire.chunk(f'event: error\ndata: {in_json[:1]}"type": "error", {in_json[1:]}\n\n'.encode())
    responses = [
        refusal_of(provider, 400, repeats),
        refusal_of(provider, 500, "x" * 970 + repeats),  # the detail is cut in the middle of the key
        Wire.response(400, in_json.encode()),
        Wire.response(400, json.dumps({"error": {**error["error"], "message": in_json}}).encode()),
        Wire.response(400, in_json[:-3].encode()),
        Wire.response(500, in_html.encode(), content_type="text/html"),
        Wire.response(200, in_json.encode()),
        Wire.response(200, b"", content_type=f"text/{KEY}"),
        event + (b"" if b"chunked" not in provider.head else Wire.STREAM_END),
        b"HTTP/1.1 " + repeats.encode(),
    ]
    replies = [*upstream.replies, *(lambda _, response=response: Reply(response, "closes") for response in responses)]
    raw = ""
    for reply in replies:
        upstream.replies = [reply]
        service = await harness.gateway(guard, debug=True)
        for outcome in await asyncio.gather(*(transport.call(service) for _ in range(3))):
            assert outcome.error is not None
            raw += outcome.raw + str(outcome.headers)
    assert upstream.calls == 3 * len(replies)
    printed = capfdbinary.readouterr()
    assert printed.out
    for text in (raw, printed.out.decode(), printed.err.decode(), caplog.text):
        plain = html.unescape(unquote(re.sub(r"\\+u002b", "+", text, flags=re.IGNORECASE).replace("\\", "")))
        for form in (text, plain):
            assert not [part for part in (KEY[at : at + 12] for at in range(len(KEY) - 11)) if part in form]


@KEYED
async def test_a_key_that_was_replaced_meanwhile_is_not_told_either(harness: Harness, provider: ProviderResponses) -> None:
    new = KEY[::-1]
    guard, upstream = await guarded(harness, provider, key="another")
    service = await harness.gateway(guard, debug=True, secrets=[lambda _: secret(KEY), lambda _: secret(new)])
    upstream.replies = [lambda _: Reply(refusal_of(provider, 401, "refused"))]
    await CHAT.call(service)
    upstream.replies = [lambda _: Reply(refusal_of(provider, 400, f"not {KEY}, not {new}"))]
    outcome = await CHAT.call(service)
    assert harness.secrets.calls == 2 and KEY not in outcome.raw and new not in outcome.raw
    assert "not ***, not ***" in outcome.raw
