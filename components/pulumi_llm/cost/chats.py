"""What a chat costs besides the model's tokens: the calls, messages and data by which components carry it.

Each component is counted by itself, as if it alone carried the chats. What a chat takes is set high rather than low.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from llm_gateway.environment import MESSAGE_INTERVAL_MS
from pulumi_llm.cost.charge import Resource
from pulumi_llm.cost.charges import architecture, memory_gb
from pulumi_llm.cost.prices import price_table


class Chat(NamedTuple):
    """The size of a chat: its tokens, and for how many seconds its answer is streamed."""

    input_tokens: int = 1000
    output_tokens: int = 500
    seconds: float = 10.0


class Use(NamedTuple):
    """What a chat uses up: the name of a price, and how many of its units."""

    price: str
    quantity: float

    @property
    def usd(self) -> float:
        """Its price."""
        return price_table().prices[self.price].of(self.quantity)


def uses(component_type: str, name: str, resources: Sequence[Resource], chat: Chat) -> Sequence[Use]:
    """What a chat uses of a component.

    Args:
        component_type: The component's type, such as "llm:index:ServerlessBedrockApi".
        name: The component's name.
        resources: What it is made of.
        chat: The chat.
    """
    if component_type not in USES:
        return []
    children = {resource.name.removeprefix(f"{name}-"): resource for resource in resources}
    return list(USES[component_type](children, chat))


# An event of a stream: a token of a word, with what is around it in OpenAI's format.
_BYTES_A_TOKEN: Final = 200
# The lines that two functions and an access log write about a request.
_LOG_BYTES: Final = 3000
# An authorizer, or a function that only notes something.
_SHORT_CALL_SECONDS: Final = 0.05
# What the journal of a stream keeps of a token, in items of which each KB is a write.
_JOURNAL_BYTES_A_TOKEN: Final = 100

_GB: Final = 1e9


def _rest_api(children: Mapping[str, Resource], chat: Chat) -> Iterator[Use]:
    """A request, its authorizer and its function, whose answer leaves AWS."""
    yield Use("rest_requests", 1)
    yield from _calls(children["function"], 1, chat.seconds)
    yield from _authorizer(children)
    yield Use("data_out", chat.output_tokens * _BYTES_A_TOKEN / _GB)
    yield Use("logs", _LOG_BYTES / _GB)


def _websocket(children: Mapping[str, Resource], chat: Chat) -> Iterator[Use]:
    """A connection for one chat: it opens, asks, gets the answer in messages, and closes."""
    generations = children["generations-function"]
    interval = float(generations.inputs["environment"]["variables"][MESSAGE_INTERVAL_MS]) / 1000
    # One asks, then come those that begin, count and end, and between them what gathered in each interval.
    yield Use("websocket_messages", 1 + 3 + min(chat.output_tokens, chat.seconds / interval))
    yield Use("websocket_minutes", chat.seconds / 60)
    yield from _authorizer(children)
    yield from _calls(children["connections-function"], 3, _SHORT_CALL_SECONDS)
    yield from _calls(generations, 1, chat.seconds)
    # The connection's item five times, its caller's four times, the journal's head twice, and its items, at most one a second
    # but each KB by itself.
    yield Use("dynamodb_writes", 5 + 4 + 2 + chat.seconds + chat.output_tokens * _JOURNAL_BYTES_A_TOKEN / 1024)
    yield Use("data_out", chat.output_tokens * _BYTES_A_TOKEN / _GB)
    yield Use("logs", _LOG_BYTES / _GB)


def _cdn(children: Mapping[str, Resource], chat: Chat) -> Iterator[Use]:
    """A request to the API through the CDN, which passes each web ACL. The data that API Gateway sends it are free."""
    yield Use("cloudfront_requests", 1)
    yield Use("cloudfront_data", chat.output_tokens * _BYTES_A_TOKEN / _GB)
    yield Use("web_acl_requests", sum(key in children for key in ("web-acl", "api-web-acl")))


def _authorizer(children: Mapping[str, Resource]) -> Iterator[Use]:
    """The authorizer, where there is one. It looks up a key for every request."""
    if "authorizer-function" in children:
        yield from _calls(children["authorizer-function"], 1, _SHORT_CALL_SECONDS)
        yield Use("dynamodb_reads", 1)


def _calls(function: Resource, count: float, seconds: float) -> Iterator[Use]:
    yield Use("lambda_requests", count)
    yield Use(f"lambda_{architecture(function)}", count * seconds * memory_gb(function))


USES: Final[Mapping[str, Callable[[Mapping[str, Resource], Chat], Iterator[Use]]]] = {
    "llm:index:CdnFrontend": _cdn,
    "llm:index:ServerlessBedrockApi": _rest_api,
    "llm:index:WebSocketChat": _websocket,
}
"""What a chat uses of the components that carry chats."""
