"""The feature flags of a running gateway: its document is fetched beside requests, never before one is answered.

What a document says is worked out once, when it has come: the result is another gateway, which the requests from then on see
from their beginning to their end. A request pays for one look at the clock.

A process asks when it starts, so that the first document comes while the server does, and then with the first request after
`POLL_SECONDS`: Lambda freezes a process between requests, so nothing runs by a timer. A request does not wait for the document
before a model answers it. One that begins before the first document is there sees the deployment's own values; but the switches
are looked at again before its answer begins. Every request waits for a fetch under way, for half a second, before the end of
its answer is sent: else a process of short requests, frozen after each, would never see the end of one. What is kept for later
(jobs) waits before it is kept, and the worker of jobs before it begins. A document that is wrong, and a failure of AppConfig,
leave everything as it is.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import msgspec

from llm_gateway import errors, flags
from llm_gateway.aws.appconfig import AppConfigError, HttpError, Received
from llm_gateway.errors import GatewayError, clipped
from llm_gateway.gateway import AnyRouter, Gateway
from llm_gateway.identity.caller import Caller
from llm_gateway.router import Attempt, Opened, Reservation
from llm_gateway.routes import Alias
from llm_gateway.rules import AddedRule

if TYPE_CHECKING:  # only requests for embeddings load it
    from llm_gateway.embeddings import EmbeddingRequest
    from llm_gateway.request import ChatRequest

# Seconds between two questions of a process. Each one is charged for.
POLL_SECONDS = 60
# Seconds after the first failure, and twice as many after each further one, at most the others.
_RETRY_SECONDS = 5.0
# Seconds for which a request that has been answered waits for a fetch, and after which no fetch is under way any more.
_END_SECONDS = 0.5
_LONGEST_FETCH = 15.0


class Source(Protocol):
    """Where the document comes from. Raises `AppConfigError` or `HttpError`."""

    async def latest(self) -> Received: ...


class FeatureFlags:
    """The flags of one process.

    Args:
        gateway: The one that is deployed.
        warn: Is told what is wrong with AppConfig or a document, once for each outage and document.
        clock: Gives seconds since the epoch: it goes on while Lambda has frozen the process.
    """

    def __init__(
        self, gateway: Gateway, source: Source, warn: Callable[[str], None], *, clock: Callable[[], float] = time.time
    ) -> None:
        self.deployed = msgspec.structs.replace(gateway, flags=self)
        self.version = ""
        self._gateway = self.deployed
        self._off: Mapping[str, flags.Switch] = {}
        self._source = source
        self._warn = warn
        self._clock = clock
        self._asked_at = 0.0
        self._wait = float(POLL_SECONDS)
        self._failures = 0
        self._received = b""
        self._fetching: asyncio.Task[None] | None = None

    def current(self) -> Gateway:
        """Return the gateway as the last good document has it. If that is old, a newer one is fetched meanwhile."""
        if not 0 <= self._clock() - self._asked_at < self._wait:
            self._fetch_soon()
        return self._gateway

    def admit(self, alias: str) -> None:
        """Raise the error 503 if the service or the alias is switched off."""
        if not self._off:
            return
        if (switch := self._off.get("")) is not None:
            raise errors.service_disabled(then=_then(switch), retry_after=switch.retry_after)
        if (switch := self._off.get(alias)) is not None:
            raise errors.model_disabled(name=alias, then=_then(switch), retry_after=switch.retry_after)

    def around(self, router: AnyRouter) -> "SwitchedRouter":
        """Return a router whose answers do not begin where they have been switched off meanwhile."""
        return SwitchedRouter(router, self)

    async def fetched(self, seconds: float | None = None) -> None:
        """Wait for a fetch under way, for half a second or for so long: Lambda may freeze a process after its request."""
        if self._fetching is not None and not self._fetching.done():
            await asyncio.wait([self._fetching], timeout=_END_SECONDS if seconds is None else seconds)

    def _fetch_soon(self) -> None:
        is_asking = self._fetching is not None and not self._fetching.done()
        if is_asking and 0 <= self._clock() - self._asked_at < _LONGEST_FETCH:
            return
        self._asked_at = self._clock()
        if self._fetching is not None:  # a process that was frozen meanwhile: nobody answers any more
            self._fetching.cancel()
        self._fetching = asyncio.get_running_loop().create_task(self._fetch())

    async def _fetch(self) -> None:
        try:
            received = await self._source.latest()
        except (AppConfigError, HttpError) as error:
            if not self._failures:
                self._warn(f"flags: AppConfig cannot be asked, so they stay as they are: {type(error).__name__}: {error}")
            self._wait = min(_RETRY_SECONDS * 2.0**self._failures, POLL_SECONDS)
            self._failures = min(self._failures + 1, 10)  # the power of some thousand is no number any more
            return
        self._failures = 0
        self._wait = received.interval
        if received.content and received.content != self._received:
            self._received = received.content
            self._apply(received)

    def _apply(self, received: Received) -> None:
        import hashlib

        version = received.label or hashlib.sha256(received.content).hexdigest()[:12]
        try:
            document = flags.parse(received.content, flags.document_type(self.deployed.routes))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            self._warn(f"flags: the document {version} is refused, so they stay as they are; wrong is {_field(error)}")
            if not self.version:
                # It may have been good for the deployment before this one, which it switched off, or restricted.
                switch = flags.service_off(received.content)
                self._off = {} if switch is None else {"": switch}
                self._gateway = _with_rules(self.deployed, flags.rules_alone(received.content))
            return
        self._gateway = overlaid(self.deployed, document)
        self._off = _switched_off(self.deployed, document)
        self.version = version


class SwitchedRouter:
    """Opens an answer as `Router` does, and looks at the switches once more before it begins."""

    def __init__(self, router: AnyRouter, switches: FeatureFlags) -> None:
        self._router = router
        self._switches = switches

    async def open(
        self,
        request: "ChatRequest | EmbeddingRequest",
        alias: Alias,
        deadline: float,
        attempts: list[Attempt],
        caller: Caller,
        reservation: Reservation | None,
    ) -> Opened:
        """Return the answer. Raises what `Router.open` does, and the error 503 of what is switched off."""
        opened = await self._router.open(request, alias, deadline, attempts, caller, reservation)
        try:
            self._switches.admit(alias.name)
        except GatewayError:
            await opened.rest.aclose()
            raise
        return opened


def overlaid(gateway: Gateway, document: flags.Document) -> Gateway:
    """Return the gateway with what the document says."""
    deployed = gateway.routes
    aliases = tuple(
        alias if (found := document.models.get(alias.name)) is None else flags.alias_of(alias, found)
        for alias in deployed.aliases
    )
    routes = msgspec.structs.replace(deployed, aliases=aliases)
    ledger, safety, cache = gateway.ledger, gateway.safety, gateway.cache if document.cache.enabled else None
    if deployed.limits is not None and ledger is not None:
        limits = flags.limits_of(deployed.limits, document.limits)
        routes, ledger = msgspec.structs.replace(routes, limits=limits), ledger.within(limits)
    if deployed.safety is not None and safety is not None:
        routes = msgspec.structs.replace(routes, safety=flags.safety_of(deployed.safety, document))
        safety = None if routes.safety is None else safety.as_set(routes.safety)
    found = msgspec.structs.replace(gateway, routes=routes, ledger=ledger, safety=safety, cache=cache)
    return _with_rules(found, flags.rules_of(document.rules))


def _with_rules(gateway: Gateway, rules: Sequence[AddedRule]) -> Gateway:
    """Return the gateway with these rules besides the deployed ones."""
    if not rules:
        return gateway
    from llm_gateway.providers.registry import always_caching
    from llm_gateway.stages.policy import policy_of

    routes = gateway.routes
    return msgspec.structs.replace(gateway, policy=policy_of(routes, always_caching(routes.endpoints), rules))


def _switched_off(gateway: Gateway, document: flags.Document) -> dict[str, flags.Switch]:
    """Return the switches of what is off, by the aliases; that of the whole service by an empty name."""
    found = {} if document.service.enabled else {"": document.service}
    for alias in gateway.routes.aliases:
        model = document.models.get(alias.name)
        if model is not None and (switch := flags.switch_of(alias, model)) is not None:
            found[alias.name] = switch
    return found


def _then(switch: flags.Switch) -> str:
    return f": {switch.message}" if switch.message else ""


def _field(error: Exception) -> str:
    """Return which field of a document is wrong, without any value of it."""
    if not isinstance(error, msgspec.ValidationError):
        return "the whole, which is no JSON"
    text = str(error)
    path = text.rpartition("`$")[2].removesuffix("`").lstrip(".") if text.endswith("`") and "`$" in text else ""
    _, unknown, name = text.partition("unknown field `")
    return clipped(".".join(part for part in (path, name.partition("`")[0] if unknown else "") if part) or "the whole", 200)
