"""The conversation of OpenAI's chat format.

https://platform.openai.com/docs/api-reference/chat/create#chat-create-messages
"""

from typing import Any, NamedTuple, cast

from llm_functions.api_formats import openai_media
from llm_functions.api_formats.fields import MOST_ITEMS, MOST_MESSAGES, Fields, cache_point, kind
from llm_gateway.errors import clipped
from llm_gateway.request import Cache, Media, Message, ReasoningBlock, ToolUse, longer


class Conversation(NamedTuple):
    """`system` is the text of the system and developer messages before all others, `system_place` the place of the first."""

    turns: tuple[Message, ...]
    system: str | None = None
    system_place: str = ""
    cache_system: Cache = False


def conversation(fields: Fields) -> Conversation:
    """Return the conversation of a request's body.

    Text that only the system says is sent as the user's: most models need a turn to answer.
    """
    if not fields.has("messages"):
        fields.any("messages")
        fields.wrong("messages", "is required, a list of messages")
        return Conversation(())
    system: list[str] = []
    system_place = ""
    cache_system: Cache = False
    is_between = False
    turns: list[Message] = []
    for message in fields.objects("messages", MOST_MESSAGES):
        role = message.string("role", required=True)
        match role:
            case "system" | "developer":
                content = _content(message)
                if turns:
                    turns.append(_turn("system", message, content))
                    is_between = True
                else:
                    system.append(content.text)
                    system_place = system_place or f"{message.place}.role"
                    cache_system = longer(cache_system, content.cache)
            case "user":
                turns.append(_turn("user", message, _content(message, media=True)))
            case "assistant":
                turns.append(_assistant(message))
                continue  # what an SDK keeps of an answer is sent back with more fields than are known
            case "tool":
                answered = message.string("tool_call_id", required=True)
                turns.append(_turn("tool", message, _content(message, media=True), tool_call_id=answered or ""))
            case "function":
                message.wrong("role", "the role 'function' is OpenAI's older form of 'tool'; use tools and 'tool'")
                continue
            case None:
                _content(message)
            case _:
                message.wrong("role", f"must be system, developer, user, assistant or tool, not {clipped(role)!r}")
                _content(message)
        message.any("name")
        message.no_others()
    if is_between:
        from llm_gateway.system_messages import after_results

        turns = [*after_results(turns)]
    text = "\n\n".join(system) if system else None
    if text and text.strip() and not any(turn.text.strip() or turn.parts or turn.tool_calls for turn in turns):
        return Conversation((Message(role="user", text=text, place=system_place.removesuffix(".role")),))
    return Conversation(tuple(turns), text, system_place, cache_system)


class _Content(NamedTuple):
    """`parts` is empty where all parts are texts."""

    text: str
    parts: tuple[str | Media, ...] = ()
    cache: Cache = False


def _turn(role: Any, message: Fields, content: _Content, **more: Any) -> Message:
    return Message(role=role, text=content.text, place=message.place, parts=content.parts, cache=content.cache, **more)


def _assistant(message: Fields) -> Message:
    """Return an earlier answer. Its text may be a refusal, and its reasoning has the name of this service or that of vLLM."""
    content = _content(message)
    refusal, reasoning = message.any("refusal"), message.any("reasoning_content") or message.any("reasoning")
    if not content.text and isinstance(refusal, str):
        content = content._replace(text=refusal)
    calls = tuple(_tool_use(call) for call in message.objects("tool_calls", MOST_ITEMS))
    if not calls and message.has("function_call"):
        message.wrong("function_call", "is OpenAI's older form of tool_calls; use tools")
    return _turn(
        "assistant",
        message,
        content,
        tool_calls=calls,
        reasoning=reasoning if isinstance(reasoning, str) else "",
        reasoning_blocks=_thinking_blocks(message.any("thinking_blocks")),
    )


def _thinking_blocks(given: Any) -> tuple[ReasoningBlock, ...]:
    """Return the signed blocks of an earlier answer, as this service renders them; without what is no such block."""
    found: list[ReasoningBlock] = []
    for block in cast("list[Any]", given) if isinstance(given, list) else []:
        match block:
            case {"type": "thinking", "thinking": str(text), "signature": str(signature)}:
                found.append(ReasoningBlock(text, signature))
            case {"type": "redacted_thinking", "data": str(data)}:
                found.append(ReasoningBlock(data=data))
            case _:
                pass
    return tuple(found)


def _content(message: Fields, *, media: bool = False) -> _Content:
    """Return the content of a message, which is a string or a list of parts; with `media`, images and files are among them."""
    content, cache = message.any("content"), _marks_cache(message)
    if content is None or isinstance(content, str):
        return _Content(content or "", cache=cache)
    if not isinstance(content, list):
        message.wrong("content", f"must be a string or a list of parts, not {kind(content)}")
        return _Content("")
    parts: list[str | Media | None] = []
    for part in message.objects("content", MOST_ITEMS):
        shape = part.string("type", required=True)
        match shape:
            case "text" | "refusal":
                if not part.has(shape):
                    part.wrong(shape, "is required, a string")
                parts.append(part.string(shape) or "")
            case "image_url" if media:
                parts.append(openai_media.image(part))
            case "file" if media:
                parts.append(openai_media.file(part))
            case "input_audio":
                part.wrong("type", "sound is not possible; send its text")
            case None:
                pass
            case _:
                known = "text, image_url or file" if media else "'text' is possible in this message"
                part.wrong("type", f"{'must be' if media else 'only'} {known}, not {clipped(shape)!r}")
        cache = longer(cache, _marks_cache(part))
    found = tuple(part for part in parts if part)
    text = "".join(part for part in found if isinstance(part, str))
    return _Content(text, found if any(isinstance(part, Media) for part in found) else (), cache)


def _marks_cache(fields: Fields) -> Cache:
    """Whether a cache point follows: by OpenAI's field, or by Anthropic's as other gateways take it in this format."""
    marked = fields.any("prompt_cache_breakpoint") is not None
    return cache_point(fields.any("cache_control")) or marked


def _tool_use(call: Fields) -> ToolUse:
    identifier = call.string("id", required=True)
    call.any("type")
    function = call.object("function")
    if function is None:
        call.wrong("function", "is required, an object; of OpenAI's tools, only functions are possible")
        return ToolUse(identifier or "", "", {})
    name = function.string("name", required=True) or ""
    arguments, text = function.arguments("arguments")
    return ToolUse(identifier or "", name, arguments, text)
