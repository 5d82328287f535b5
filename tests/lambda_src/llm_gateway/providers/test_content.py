"""Images, documents and signed reasoning, as each provider wants them. The stand-ins' readers judge what is written."""

import base64
import hashlib
from typing import Any

import msgspec
import pytest
from botocore import validate
from botocore.loaders import Loader
from botocore.model import ServiceModel

from llm_gateway.call import Guardrail, ModelCall
from llm_gateway.errors import GatewayError
from llm_gateway.providers.anthropic.dialect import Anthropic
from llm_gateway.providers.bedrock.converse import Converse
from llm_gateway.providers.openai.dialect import OpenAICompatible
from llm_gateway.request import Media, Message, ReasoningBlock, Sampling, Tool, ToolChoice, ToolUse
from llm_gateway.routes import Target
from pulumi_llm_local.upstreams.anthropic.request import read_messages
from pulumi_llm_local.upstreams.bedrock.converse_request import read_converse
from pulumi_llm_local.upstreams.model import MediaBlock, ModelTraits
from pulumi_llm_local.upstreams.openai.request import ChatRules, read_chat
from wire.speaker import dumped

ACCEPTS = (*("max_tokens", "system", "tools", "stream_tools", "images", "image_urls", "documents", "reasoning_content"),)
TARGET = Target("the/target", "there", "a-model", 4096, 100_000, ACCEPTS)  # pyright: ignore[reportArgumentType]
PNG = Media("image", "image/png", base64.b64encode(b"\x89PNG").decode())
ADDRESS = Media("image", url="https://example.com/a.png")
PDF = Media("document", "application/pdf", base64.b64encode(b"%PDF-1.7").decode(), name="A report: 2026_final!.pdf")
NOTES = Media("document", "text/plain", base64.b64encode("Grüße".encode()).decode(), name="notes.txt")


def call(*messages: Message) -> ModelCall:
    return ModelCall(TARGET, messages, None, Sampling(max_tokens=100), (), ToolChoice(), False, 0.0, 1.0)


def converse(*messages: Message) -> Any:
    """Return the messages of Converse's request, which botocore and the stand-in take."""
    body = Converse().body(call(*messages))
    shape = ServiceModel(Loader().load_service_model("bedrock-runtime", "service-2"), "bedrock-runtime")
    validate.validate_parameters({"modelId": "a", **body}, shape.operation_model("Converse").input_shape)
    read_converse("a-model", dumped(body), {"a-model": ModelTraits(frozenset(ACCEPTS))})
    return body["messages"]


def anthropic(*messages: Message) -> Any:
    body = Anthropic().body(call(*messages))
    read_messages(dumped(body), {"a-model": ModelTraits(frozenset(ACCEPTS))})
    return body["messages"]


def openai(*messages: Message) -> Any:
    body = OpenAICompatible().body(call(*messages))
    read_chat(msgspec.json.decode(dumped(body)), "a-model", ModelTraits(frozenset(ACCEPTS)), ChatRules(("max_tokens",), True))
    return body["messages"]


def test_an_image_between_texts() -> None:
    message = Message("user", "What is it?", parts=("What is", PNG, " it?"))
    image = {"image": {"format": "png", "source": {"bytes": PNG.data}}}
    assert converse(message) == [{"role": "user", "content": [{"text": "What is"}, image, {"text": " it?"}]}]
    block = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG.data}}
    texts = [{"type": "text", "text": text} for text in ("What is", " it?")]
    assert anthropic(message) == [{"role": "user", "content": [texts[0], block, texts[1]]}]
    url = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG.data}"}}
    assert openai(message) == [{"role": "user", "content": [texts[0], url, texts[1]]}]


def test_an_address_is_passed_on_or_refused() -> None:
    message = Message("user", "", parts=(ADDRESS,), place="messages[0]")
    assert anthropic(message)[0]["content"] == [{"type": "image", "source": {"type": "url", "url": ADDRESS.url}}]
    assert openai(message)[0]["content"] == [{"type": "image_url", "image_url": {"url": ADDRESS.url}}]
    with pytest.raises(GatewayError, match="an address of an image"):
        converse(message)


def test_documents() -> None:
    """Bedrock takes few signs in a name and no name twice, and wants a text; OpenAI takes a text only as such."""
    message = Message("user", "", parts=(PDF, PDF, NOTES))
    *documents, text = converse(message)[0]["content"]
    names = [document["document"]["name"] for document in documents]
    assert names == ["A report 2026 final", "A report 2026 final 2", "notes"] and text["text"]
    assert [document["document"]["format"] for document in documents] == ["pdf", "pdf", "txt"]
    pdf, _, notes = anthropic(message)[0]["content"]
    assert pdf["source"] == {"type": "base64", "media_type": "application/pdf", "data": PDF.data}
    assert notes == {
        "type": "document",
        "source": {"type": "text", "media_type": "text/plain", "data": "Grüße"},
        "title": "notes.txt",
    }
    file, _, notes = openai(message)[0]["content"]
    assert file["file"] == {"filename": PDF.name, "file_data": f"data:application/pdf;base64,{PDF.data}"}
    assert notes == {"type": "text", "text": "notes.txt\nGrüße"}


@pytest.mark.parametrize("media", [Media("image", "image/tiff", "AAAA"), Media("document", "application/zip", "AAAA")])
def test_what_a_provider_does_not_take_is_refused_by_name(media: Media) -> None:
    message = Message("user", "x", parts=("x", media), place="messages[0]")
    for write in (converse, anthropic):
        with pytest.raises(GatewayError, match=f"{media.media_type}' is not possible") as caught:
            write(message)
        assert (caught.value.status, caught.value.param) == (400, "messages[0]")


def test_images_in_the_results_of_tools() -> None:
    history = (
        Message("user", "Hi"),
        Message("assistant", tool_calls=(ToolUse("c1", "look", {}), ToolUse("c2", "look", {}))),
        Message("tool", "Seen.", tool_call_id="c1", parts=("Seen.", PNG)),
        Message("tool", "Nothing.", tool_call_id="c2"),
        Message("user", "And?"),
    )
    results = converse(*history)[2]["content"]
    assert results[0]["toolResult"]["content"] == [
        {"text": "Seen."},
        {"image": {"format": "png", "source": {"bytes": PNG.data}}},
    ]
    assert [part["type"] for part in anthropic(*history)[2]["content"][0]["content"]] == ["text", "image"]
    *_, first, second, media, last = openai(*history)
    assert [first["content"], second["content"], last["content"]] == ["Seen.", "Nothing.", "And?"]
    assert media["role"] == "user" and "c1" in media["content"][0]["text"] and media["content"][1]["type"] == "image_url"


def test_a_tool_that_has_failed() -> None:
    history = (
        Message("user", "Hi"),
        Message("assistant", tool_calls=(ToolUse("c1", "look", {}),)),
        Message("tool", "Boom.", tool_call_id="c1", failed=True),
    )
    assert anthropic(*history)[2]["content"][0]["is_error"] is True
    assert "status" not in converse(*history)[2]["content"][0]["toolResult"]  # few models take it
    body = Converse().body(msgspec.structs.replace(call(*history), target=msgspec.structs.replace(TARGET, model="claude")))
    assert body["messages"][2]["content"][0]["toolResult"]["status"] == "error"


@pytest.mark.parametrize("parts", [(), (" ",)])
@pytest.mark.parametrize("failed", [False, True])
def test_a_tool_that_has_said_nothing(parts: tuple[str, ...], failed: bool) -> None:
    """Bedrock takes no blank text at all, Anthropic none in an error. The stand-ins refuse what they do."""
    history = (
        Message("user", "Hi"),
        Message("assistant", tool_calls=(ToolUse("c1", "look", {}),)),
        Message("tool", "".join(parts), tool_call_id="c1", parts=parts, failed=failed),
    )
    assert converse(*history)[2]["content"][0]["toolResult"]["content"] == [{"text": "(no output)"}]
    assert anthropic(*history)[2]["content"][0]["content"] in (["(no output)"] if failed else ["", []])


def test_signed_reasoning_goes_back() -> None:
    blocks = (ReasoningBlock("Hm.", "c2ln"), ReasoningBlock(data="ZGF0YQ=="), ReasoningBlock("not signed"))
    history = (
        Message("user", "Hi"),
        Message("assistant", "Let me look.", (ToolUse("c1", "look", {}),), reasoning_blocks=blocks),
        Message("tool", "Seen.", tool_call_id="c1"),
    )
    assert converse(*history)[1]["content"][:3] == [
        {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "c2ln"}}},
        {"reasoningContent": {"redactedContent": "ZGF0YQ=="}},
        {"text": "Let me look."},
    ]
    assert anthropic(*history)[1]["content"][:3] == [
        {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "ZGF0YQ=="},
        {"type": "text", "text": "Let me look."},
    ]
    assert "reasoning" not in str(openai(*history)[1])


def test_the_stand_ins_see_what_is_sent() -> None:
    body = Converse().body(call(Message("user", "x", parts=("x", PNG))))
    request = read_converse("a-model", dumped(body), {"a-model": ModelTraits(frozenset(ACCEPTS))})
    assert request.media == [MediaBlock("images", "png", 4)]


# Cache points, hints and what only Bedrock has.

TOOLS = (Tool("look", "", {"type": "object"}, cache=True), Tool("see", "", {"type": "object"}))
CACHING = msgspec.structs.replace(TARGET, accepts=(*ACCEPTS, "prompt_caching"))
TURNS = tuple(Message("user" if at % 2 == 0 else "assistant", str(at), cache=at in (0, 1, 2, 3)) for at in range(5))


def cached(target: Target, **changes: Any) -> tuple[Any, Any]:
    """Return the places of cache points at Bedrock and at Anthropic. Their stand-ins read the requests."""
    request = ModelCall(target, TURNS, "Be brief.", Sampling(max_tokens=100), TOOLS, ToolChoice(), False, 0.0, 1.0, **changes)
    traits = ModelTraits(frozenset(target.accepts))
    there, here = Converse().body(request), Anthropic().body(request)
    read_messages(dumped(here), {"a-model": traits})
    read_converse("a-model", dumped(there), {"a-model": traits})
    tools, system = there["toolConfig"]["tools"], there["system"]
    bedrock = (
        [at for at, tool in enumerate(tools) if "cachePoint" in tool],
        "cachePoint" in system[-1],
        [at for at, message in enumerate(there["messages"]) if "cachePoint" in message["content"][-1]],
    )
    anthropic = (
        [at + 1 for at, tool in enumerate(here["tools"]) if "cache_control" in tool],
        isinstance(here["system"], list),
        [at for at, message in enumerate(here["messages"]) if "cache_control" in message["content"][-1]],
    )
    return bedrock, anthropic


def test_cache_points() -> None:
    """At most four, the latest of the messages; by the target's setting after tools, system and the last message."""
    marked = ([1], True, [2, 3])
    assert cached(CACHING, cache_system=True) == cached(CACHING, cache_system="1h") == (marked, marked)
    marked = ([1], False, [1, 2, 3])
    assert cached(CACHING) == (marked, marked)
    always = msgspec.structs.replace(CACHING, cache_prompts=True)
    marked = ([2], True, [3, 4])
    assert cached(always) == (marked, marked)
    none = ([], False, [])
    assert cached(TARGET, cache_system=True) == (none, none)


def test_a_cache_point_never_follows_reasoning() -> None:
    """A turn that was cut while the model thought has none, at Bedrock and at Anthropic."""
    target = msgspec.structs.replace(CACHING, provider="bedrock", name="bedrock/claude", model="claude")
    thought = Message("assistant", reasoning_blocks=(ReasoningBlock("Hm.", "c2ln"),), cache=True)
    made = msgspec.structs.replace(call(TURNS[0], thought, TURNS[2]), target=target)
    body = Converse().body(made)
    read_converse("claude", dumped(body), {"claude": ModelTraits(frozenset(target.accepts))})
    assert [list(block) for block in body["messages"][1]["content"]] == [["reasoningContent"]]
    assert "cache_control" not in str(Anthropic().body(made)["messages"][1])


def test_nova_takes_no_cache_point_among_its_tools() -> None:
    target = msgspec.structs.replace(CACHING, provider="bedrock", name="bedrock/nova", model="nova", cache_prompts=True)
    made = ModelCall(target, TURNS, "Be brief.", Sampling(max_tokens=9), TOOLS, ToolChoice(), False, 0.0, 1.0)
    body = Converse().body(made)
    read_converse("nova", dumped(body), {"nova": ModelTraits(frozenset(target.accepts))})
    assert "cachePoint" in body["system"][-1] and "cachePoint" not in str(body["toolConfig"])


@pytest.mark.parametrize(
    ("provider", "model", "hours"),
    [
        ("anthropic", "claude-3-5-haiku", [True, True, True, False]),
        ("bedrock", "us.anthropic.claude-haiku-4-5-v1:0", [True, True, True, False]),
        ("bedrock", "us.anthropic.claude-3-7-sonnet-v1:0", [False] * 4),
    ],
)
def test_a_cache_point_is_kept_for_an_hour_where_the_target_does(provider: str, model: str, hours: list[bool]) -> None:
    """Those before it are, too: a longer time may not follow a shorter one."""
    target = msgspec.structs.replace(CACHING, name=f"{provider}/{model}", provider=provider, model=model)
    turns = (Message("user", "1", cache="1h"), Message("assistant", "2"), Message("user", "3", cache=True))
    made = ModelCall(
        target, turns, "Be brief.", Sampling(max_tokens=9), TOOLS, ToolChoice(), False, 0.0, 1.0, cache_system=True
    )
    there, here = Converse().body(made), Anthropic().body(made)
    shape = ServiceModel(Loader().load_service_model("bedrock-runtime", "service-2"), "bedrock-runtime")
    validate.validate_parameters({"modelId": "a", **there}, shape.operation_model("Converse").input_shape)
    messages = [there["messages"][at]["content"][-1] for at in (0, 2)]
    points = [block["cachePoint"] for block in (there["toolConfig"]["tools"][1], there["system"][1], *messages)]
    assert [point.get("ttl") == "1h" for point in points] == hours
    messages = [here["messages"][at]["content"][-1] for at in (0, 2)]
    marks = [block["cache_control"] for block in (here["tools"][0], here["system"][0], *messages)]
    assert [mark.get("ttl") == "1h" for mark in marks] == hours


def test_the_detail_of_an_image_goes_to_openais_servers() -> None:
    seen = Message("user", "Look", parts=("Look", Media("image", "image/png", "AAAA", detail="low")))
    sent = OpenAICompatible().body(call(seen))["messages"][-1]["content"][1]
    assert sent == {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}}
    assert "detail" not in str(Anthropic().body(call(seen)))


def test_hints_and_what_only_bedrock_has() -> None:
    request = msgspec.structs.replace(
        call(Message("user", "Hi")),
        hints={"user": "u1", "service_tier": "flex", "metadata": {"team": "a", "no": "é", "wide": "a\u2003b"}},
        guardrail=Guardrail("gr1", "1", trace=True),
        request_metadata={"tenant": "t1"},
    )
    body = Converse().body(request)
    shape = ServiceModel(Loader().load_service_model("bedrock-runtime", "service-2"), "bedrock-runtime")
    validate.validate_parameters({"modelId": "a", **body}, shape.operation_model("Converse").input_shape)
    assert body["requestMetadata"] == {"team": "a", "tenant": "t1"} and body["serviceTier"] == {"type": "flex"}
    assert body["guardrailConfig"] == {"guardrailIdentifier": "gr1", "guardrailVersion": "1", "trace": "enabled"}
    sent = Anthropic().body(msgspec.structs.replace(request, hints={"user": "u1", "service_tier": "default"}))
    assert (sent["metadata"], sent["service_tier"]) == ({"user_id": "u1"}, "standard_only")
    sent = OpenAICompatible().body(msgspec.structs.replace(request, hints={"seed": 1}, rare={"presence_penalty": 0.5}))
    assert (sent["seed"], sent["presence_penalty"]) == (1, 0.5)


# As Claude Code sends it.
LONG_ID = '{"device_id":"' + "0123456789abcdef" * 4 + '","account_uuid":"","session_id":"7f3a2b1c-0d4e-4f5a-8b6c-9d0e1f2a3b4c"}'


@pytest.mark.parametrize("name", ["user", "safety_identifier", "prompt_cache_key"])
@pytest.mark.parametrize(
    ("given", "is_digest"), [("alice@corp.com", False), ("x" * 64, False), ("x" * 65, True), (LONG_ID, True)]
)
def test_an_id_that_is_too_long_for_openai_is_a_digest(name: str, given: str, is_digest: bool) -> None:
    body = OpenAICompatible().body(msgspec.structs.replace(call(Message("user", "Hi")), hints={name: given}))
    read_chat(msgspec.json.decode(dumped(body)), "a-model", ModelTraits(frozenset(ACCEPTS)), ChatRules(("max_tokens",), True))
    assert body[name] == (hashlib.sha256(given.encode()).hexdigest() if is_digest else given)


@pytest.mark.parametrize("name", ["user", "safety_identifier"])
@pytest.mark.parametrize(
    ("given", "is_digest"),
    [
        (LONG_ID, False),
        ("x" * 256, False),
        ("user-20261130123456", False),
        ("7f3a2b1c-0d4e-4f5a-8b6c-9d0e1f2a3b4c", False),
        ("12345", False),
        ("x" * 257, True),
        ("alice@corp.com", True),
        ("Alice <alice@corp.com>", True),
        ("+43 660 123 45 67", True),
        ("(555) 123-4567", True),
        ("5551234567", True),
    ],
)
def test_an_id_that_anthropic_refuses_is_a_digest(name: str, given: str, is_digest: bool) -> None:
    body = Anthropic().body(msgspec.structs.replace(call(Message("user", "Hi")), hints={name: given}))
    read_messages(dumped(body), {"a-model": ModelTraits(frozenset(ACCEPTS))})
    assert body["metadata"] == {"user_id": hashlib.sha256(given.encode()).hexdigest() if is_digest else given}
