"""Every text of a request that its caller controls."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

import msgspec

from llm_gateway.request import ChatRequest, Media, Message, ReasoningBlock, ResponseFormat, Tool, ToolUse

if TYPE_CHECKING:  # only requests for embeddings load it
    from llm_gateway.embeddings import EmbeddingRequest

# The words of JSON Schemas, which say nothing of their own.
_SCHEMA_WORDS = frozenset(
    (
        *("$defs", "$ref", "$schema", "additionalProperties", "allOf", "anyOf", "array", "boolean", "const", "default"),
        *("definitions", "description", "enum", "examples", "exclusiveMaximum", "exclusiveMinimum", "format", "integer"),
        *("items", "maximum", "maxItems", "maxLength", "minimum", "minItems", "minLength", "not", "null", "number", "object"),
        *("oneOf", "pattern", "prefixItems", "properties", "required", "string", "title", "type", "uniqueItems"),
    )
)
# A number with fewer digits is no card, account or telephone.
_LEAST_DIGITS = 7
# Documents that are texts. Others (PDF, Office) and images cannot be read here.
_TEXT_TYPES = ("text/", "application/json", "application/xml")
_MARKUP = ("text/html", "text/xml", "application/xml")


def with_texts(request: "ChatRequest | EmbeddingRequest", visit: Callable[[str], str]) -> "ChatRequest | EmbeddingRequest":
    """Return the request with what `visit` returns in the place of each of its texts; the request itself if nothing changes.

    A text may be visited several times. What stands in JSON (arguments and schemas of tools, metadata) is visited value by
    value, names and long numbers too, so that no escape hides it. Signed reasoning whose text changes is left out, for its
    provider would refuse it.
    """
    return _Texts(visit).request(request)


def characters(request: "ChatRequest | EmbeddingRequest") -> int:
    """Return the characters of all texts, each once, those of JSON with its punctuation, and a document's bytes."""
    if not isinstance(request, ChatRequest):
        return sum(map(len, request.texts))
    total = len(request.system or "") + _json_length(request.hints)
    for message in request.messages:
        signed = sum(len(block.text) for block in message.reasoning_blocks)
        total += len(message.text) + max(len(message.reasoning), signed)
        total += sum(len(part.data) * 3 // 4 for part in message.parts if isinstance(part, Media) and _is_text(part))
        total += sum(len(call.name) + _json_length(call.arguments) for call in message.tool_calls)
    for tool in request.tools:
        total += len(tool.name) + len(tool.description) + _json_length(tool.parameters)
    if request.response_format is not None:
        total += len(request.response_format.description) + _json_length(request.response_format.schema)
    return total


def _is_text(media: Media) -> bool:
    return bool(media.data) and media.kind == "document" and media.media_type.startswith(_TEXT_TYPES)


def _decoded(data: bytes) -> str:
    """Return a document's text: UTF-16 by its mark or its zeros, UTF-8, or else Latin-1, in which every byte is a letter."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", errors="replace")
    if b"\0" in data[:2]:
        return data.decode("utf-16-be" if data[0] == 0 else "utf-16-le", errors="replace")
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _json_length(value: object) -> int:
    return len(msgspec.json.encode(value).decode()) if value else 0


class _Texts:
    def __init__(self, visit: Callable[[str], str]) -> None:
        self._visit = visit

    def request(self, request: "ChatRequest | EmbeddingRequest") -> "ChatRequest | EmbeddingRequest":
        if not isinstance(request, ChatRequest):
            texts = tuple(map(self._text, request.texts))
            return _changed(request, texts=texts, user=self._optional(request.user))
        wanted = request.response_format
        return _changed(
            request,
            system=self._optional(request.system),
            messages=tuple(map(self._message, request.messages)),
            tools=tuple(map(self._tool, request.tools)),
            sampling=_changed(request.sampling, stop=tuple(map(self._text, request.sampling.stop))),
            response_format=wanted if wanted is None else self._response_format(wanted),
            hints=self.json(request.hints),
        )

    def _message(self, message: Message) -> Message:
        parts = tuple(self._text(part) if isinstance(part, str) else self._media(part) for part in message.parts)
        blocks = {id(block): self._block(block) for block in message.reasoning_blocks}
        order = tuple(
            self._text(each) if isinstance(each, str) else each
            for each in message.order
            if not isinstance(each, ReasoningBlock) or self._block(each) is not None
        )
        texts = [(part, visited) for part, visited in zip(message.parts, parts, strict=True) if isinstance(part, str)]
        # The text of one that has an image, too, is most often its one part of text, which has been visited.
        is_part = len(texts) == 1 and texts[0][0] == message.text
        return _changed(
            message,
            text=texts[0][1] if is_part else self._text(message.text),
            parts=parts,
            reasoning=self._text(message.reasoning),
            reasoning_blocks=tuple(block for block in message.reasoning_blocks if blocks[id(block)] is not None),
            tool_calls=tuple(map(self._tool_use, message.tool_calls)),
            order=order,
        )

    def _block(self, block: ReasoningBlock) -> ReasoningBlock | None:
        return block if self._text(block.text) == block.text else None

    def _media(self, media: Media) -> Media:
        data = media.data
        if _is_text(media):
            data = self._document(data, markup=media.media_type in _MARKUP)
        return _changed(media, data=data, url=self._text(media.url), name=self._text(media.name))

    def _document(self, data: str, *, markup: bool) -> str:
        """Return a document with its text visited, as UTF-8 if it changes. Markup's text is visited without its entities."""
        from base64 import b64decode, b64encode

        try:
            text = _decoded(b64decode(data))
        except ValueError:  # its provider refuses what is no Base64
            return data
        visited = self._text(text)
        if markup and "&" in visited:
            from html import unescape

            plain = unescape(visited)
            again = self._text(plain)
            if again != plain:
                visited = again
        return data if visited == text else b64encode(visited.encode()).decode()

    def _tool_use(self, use: ToolUse) -> ToolUse:
        return _changed(use, arguments=self.json(use.arguments), text=self._text(use.text))

    def _tool(self, tool: Tool) -> Tool:
        return _changed(
            tool,
            description=self._text(tool.description),
            parameters=self.json(tool.parameters),
            anthropics=self.json(tool.anthropics),
        )

    def _response_format(self, wanted: ResponseFormat) -> ResponseFormat:
        return _changed(wanted, description=self._text(wanted.description), schema=self.json(wanted.schema))

    def _optional(self, text: str | None) -> str | None:
        return None if text is None else self._text(text)

    def _text(self, text: str) -> str:
        if not text or text.isspace():
            return text
        visited = self._visit(text)
        return text if visited == text else visited  # its own object, by which it is known that nothing has changed

    def json(self, value: Any) -> Any:
        """Return a JSON value with its texts visited; the value itself if nothing changes."""
        match value:
            case str():
                return value if value in _SCHEMA_WORDS else self._text(value)
            case bool() | None:
                return value
            case int() | float():
                text = str(value)
                visited = self._text(text) if len(text) >= _LEAST_DIGITS else text
                return value if visited == text else visited
            case dict():
                members = cast("dict[str, Any]", value)
                found = {self.json(name): self.json(item) for name, item in members.items()}
                same = len(found) == len(members) and all(
                    name in found and found[name] is item for name, item in members.items()
                )
                return members if same else found
            case list() | tuple():
                items = cast("Sequence[Any]", value)
                visited_items = [self.json(item) for item in items]
                return items if all(a is b for a, b in zip(items, visited_items, strict=True)) else visited_items
            case _:
                return value


def with_json_texts(value: Any, visit: Callable[[str], str]) -> Any:
    """Return a JSON value with what `visit` returns in the place of each of its texts; the value itself if nothing changes."""
    return _Texts(visit).json(value)


_Struct = TypeVar("_Struct", bound=msgspec.Struct)


def _changed(struct: _Struct, **values: Any) -> _Struct:
    """Return the struct with these values, itself where they are its own."""
    if all(getattr(struct, name) == value for name, value in values.items()):
        return struct
    return msgspec.structs.replace(struct, **values)
