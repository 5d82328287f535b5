"""AWS's services that the stages call, down, throttled, slow or wrong: a defined answer over every transport.

One table of cases for REST, SSE and WebSocket. In each, all stages are on. Whatever happens, what a call was reserved is
settled, and the journal of a WebSocket's generation has its end.
"""

import contextlib
import json
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import Any, NamedTuple

import httpx
import msgspec
import pytest
from aiohttp import ClientSession, web

from llm_functions import compose
from llm_functions.http.application import Application
from llm_functions.request_context import caller_context
from llm_functions.websocket.chats import Chats, ClientEvent
from llm_gateway import telemetry
from llm_gateway.accounts import IN_FLIGHT, caller_holder
from llm_gateway.answer_cache import AnswerCache
from llm_gateway.aws import dynamodb as dynamodb_module
from llm_gateway.aws.client import Aws
from llm_gateway.aws.connections import Connections
from llm_gateway.aws.dynamodb import DynamoDB
from llm_gateway.call import ModelCall
from llm_gateway.events import Delta, Done, Event, Usage
from llm_gateway.feature_flags import FeatureFlags
from llm_gateway.gateway import Gateway
from llm_gateway.http.client import HttpClient
from llm_gateway.identity.caller import Caller, Credential
from llm_gateway.identity.connections import ConnectionTable
from llm_gateway.identity.connections import Limits as ConnectionLimits
from llm_gateway.limits import CallerLimits, Limit, Limits
from llm_gateway.retrieval import Retrieval
from llm_gateway.router import Router
from llm_gateway.routes import Alias, Routes, Target
from llm_gateway.safety import GuardrailUse, Safety
from llm_gateway.stages import guardrail, journal_writer, knowledge_base
from llm_gateway.stages.journal import Journal
from support import websocket_api
from support.appconfig import CONFIGURATION, Deployed
from support.gateway_service import ORIGIN, PATIENCE, Service, serve
from support.local_bedrock import KEYS, REGION
from support.web_app import listening
from support.websocket_api import CONNECTIONS, JOURNAL, LEDGER, Clients
from wire import guardrails, knowledge_bases
from wire.guardrails import GuardrailUpstream
from wire.http import Fake, plays, response
from wire.knowledge_bases import KnowledgeBaseUpstream

CALLER = Caller("acme", "ci")
TEXT = "Hello world"
USED = 5  # tokens of an answer
CACHE = "the-cache"
DOCUMENTS = {"handbook.md": ("Hi is what the handbook says.", {"tenant": "acme"})}


class Model:
    """A provider that answers at once. `asked` counts its calls."""

    def __init__(self) -> None:
        self.asked = 0

    async def answer(self, call: ModelCall) -> AsyncGenerator[list[Event], None]:
        self.asked += 1
        yield [Delta("Hello")]
        yield [Delta(" world"), Usage(3, 2), Done("end_turn")]


class Tables:
    """Stands before a DynamoDB.

    Attributes:
        failing: What calls of a table are answered, by its name: an exception of DynamoDB's, or nothing at all.
        after: How many calls of a table are carried out before.
        times: How many calls of a table fail, where it is not all of them.
    """

    def __init__(self, upstream: str) -> None:
        self.url = ""
        self.failing: dict[str, str] = {}
        self.after: dict[str, int] = {}
        self.times: dict[str, int] = {}
        self._upstream = upstream
        self._calls: Counter[str] = Counter()

    @contextlib.asynccontextmanager
    async def serve(self) -> AsyncIterator["Tables"]:
        app = web.Application()
        app.router.add_post("/", self._handle)
        async with ClientSession() as self._session, listening(app) as self.url:
            yield self

    async def _handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        table = json.loads(body)["TableName"]
        number = self._calls[table] = self._calls[table] + 1
        failed = number - self.after.get(table, 0)
        if table in self.failing and 0 < failed <= self.times.get(table, failed):
            if self.failing[table] == DOWN:
                assert request.transport is not None
                request.transport.close()
            name = f"com.amazonaws.dynamodb.v20120810#{self.failing[table]}"
            return web.json_response({"__type": name, "message": "no"}, status=400)
        # The cache's items are kept in the journal's table, for both have its keys.
        carried = body.replace(f'"{CACHE}"'.encode(), f'"{JOURNAL}"'.encode())
        headers = {name: request.headers[name] for name in ("content-type", "x-amz-target", "authorization", "x-amz-date")}
        async with self._session.post(self._upstream, data=carried, headers=headers) as answer:
            return web.Response(body=await answer.read(), status=answer.status)


DOWN, THROTTLED = "", "ThrottlingException"


class Answer(NamedTuple):
    """What a caller gets: a text, or an error's code with the seconds after which another try may succeed."""

    text: str
    code: str = ""
    retry_after: int | None = None
    retrieval: str = ""


@dataclass
class World:
    """A gateway with all stages, and what stands around it."""

    gateway: Gateway
    model: Model
    dynamodb: DynamoDB
    clients: Clients
    chats: Chats
    journal: Journal
    service: Service

    async def account(self) -> dict[str, Any]:
        """The caller's item in the ledger."""
        item = await self.dynamodb.get_item(LEDGER, {"holder": {"S": caller_holder(CALLER)}}, consistent=True) or {}
        day = next((name.split()[0] for name in item if name.count("-") == 2 and name.endswith(" tokens")), "")
        return {
            "in flight": len(item.get(IN_FLIGHT, {}).get("SS", [])),
            "requests": int(item.get(f"{day} requests", {"N": "0"})["N"]),
            "tokens": int(item.get(f"{day} tokens", {"N": "0"})["N"]),
        }


async def rest(world: World, model: str) -> Answer:
    response = await world.service.post("/chat", _body(model), HEADERS)
    if response.status_code != 200:
        return _refused(world, response)
    body = response.json()
    return Answer(body["message"], retrieval=body.get("retrieval", ""))


async def sse(world: World, model: str) -> Answer:
    async with world.service.http.stream("POST", "/chat/stream", json=_body(model), headers=HEADERS) as response:
        if response.status_code != 200:
            await response.aread()
            return _refused(world, response)
        lines = [line async for line in response.aiter_lines()]
    return _streamed([json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")])


async def websocket(world: World, model: str) -> Answer:
    body = {"action": "chat", "id": "one", **_body(model)}
    await world.chats.chat(world.gateway, _AT_ONCE, ClientEvent("first", "request-1", json.dumps(body).encode()), 60.0)
    messages = world.clients.got["first"]
    ends = [each for each in messages if each["type"] in ("error", "done")]
    assert ends == messages[-1:]
    return _streamed(messages)


HEADERS = Service.context(caller_context(CALLER, Credential()))
_AT_ONCE = ConnectionLimits(per_connection=4, per_key=4)
TRANSPORTS = {"REST": rest, "SSE": sse, "WebSocket": websocket}


def _body(model: str) -> dict[str, Any]:
    return {"message": "Hi", "model": model, "temperature": 0}


def _refused(world: World, response: httpx.Response) -> Answer:
    error = world.service.error_of(response)
    after = response.headers.get("retry-after")
    return Answer("", error["code"], None if after is None else int(after))


def _streamed(events: list[dict[str, Any]]) -> Answer:
    """What the events of a stream say, of which the last one is its end."""
    text = "".join(each["text"] for each in events if each.get("type") == "delta" or "text" in each)
    retrieval = next((each["retrieval"] for each in events if "retrieval" in each), "")
    error = events[-1].get("error")
    if error is not None:
        return Answer(text, error["code"], error.get("retry_after"), retrieval)
    assert events[-1]["stop_reason"] == "end_turn"
    return Answer(text, retrieval=retrieval)


Start = Callable[..., Awaitable[World]]


@pytest.fixture
def start(opened: contextlib.AsyncExitStack, dynamodb: DynamoDB, dynamodb_url: str, monkeypatch: pytest.MonkeyPatch) -> Start:
    """Start all of it, as a case has it."""
    monkeypatch.setattr(dynamodb_module, "_FIRST_PAUSE", 0.001)
    monkeypatch.setattr(guardrail, "_FIRST_PAUSE", 0.001)
    monkeypatch.setattr(guardrail, "_THROTTLED_PAUSE", 0.001)
    monkeypatch.setattr(knowledge_base, "_PAUSE", 0.001)

    async def start(case: "Case") -> World:
        client, model = HttpClient(), Model()
        opened.push_async_callback(client.close)
        tables = await opened.enter_async_context(Tables(dynamodb_url).serve())
        tables.failing, tables.after, tables.times = case.failing, case.after, case.times
        if case.silent is not None:
            monkeypatch.setattr(case.silent, "_ATTEMPT_SECONDS", 0.05)
        deployed = await opened.enter_async_context(Deployed().serve())
        if case.document is not None:
            deployed.put(case.document)
        environ = {
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": KEYS.access_key,
            "AWS_SECRET_ACCESS_KEY": KEYS.secret_key,
            "AWS_ENDPOINT_URL_DYNAMODB": tables.url,
            "AWS_ENDPOINT_URL_APPCONFIGDATA": deployed.url if case.appconfig else NOWHERE,
            "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": await _served(opened, case.guardrail),
            "AWS_ENDPOINT_URL_BEDROCK_AGENT_RUNTIME": await _served(opened, case.knowledge_base),
            "FLAGS_CONFIGURATION": CONFIGURATION,
            "GUARDRAIL_ARN": guardrails.ARN,
            "GUARDRAIL_VERSION": guardrails.VERSION,
            "KNOWLEDGE_BASE_ID": knowledge_bases.ID,
            "LEDGER_TABLE": LEDGER,
            "CACHE_TABLE": CACHE,
            "AUTHORIZATION": "api_key",
            "CORS_ALLOW_ORIGIN": ORIGIN,
        }
        routes = msgspec.structs.replace(
            ROUTES,
            safety=Safety(guardrail=GuardrailUse(fail_open=case.fail_open)),
            retrieval=Retrieval(("informed",), answer_without=case.answer_without),
        )
        without_flags = {name: value for name, value in environ.items() if name != "FLAGS_CONFIGURATION"}
        made = compose.gateway_of(routes, client, without_flags)
        gateway = compose.flagged(msgspec.structs.replace(made, router=Router({"p": model})), client, environ)
        flags = gateway.flags
        assert isinstance(flags, FeatureFlags)
        flags.current()  # as the start of a process does
        await vars(flags)["_fetching"]

        url = await opened.enter_async_context(serve(Application(gateway, environ)))
        http = httpx.AsyncClient(base_url=url, trust_env=False, timeout=PATIENCE)
        await opened.enter_async_context(http)
        service = Service(url, http, await opened.enter_async_context(contextlib.AsyncExitStack()))

        clients = await opened.enter_async_context(Clients().serve())
        aws = Aws(client, environ)
        stores = DynamoDB(aws)
        journal, table = Journal(stores, JOURNAL), ConnectionTable(stores, CONNECTIONS)
        connections = Connections(websocket_api.aws(client), clients.stage_url, {})
        chats = Chats(journal, table, connections, messages_per_minute=1_000, interval=0.001)
        await ConnectionTable(dynamodb, CONNECTIONS).add("first", CALLER, Credential(), limit=100)
        return World(gateway, model, dynamodb, clients, chats, Journal(dynamodb, JOURNAL), service)

    return start


async def _served(opened: contextlib.AsyncExitStack, upstream: Callable[[], Fake] | None) -> str:
    if upstream is None:
        return NOWHERE
    started = upstream()
    await started.start()
    opened.push_async_callback(started.stop)
    return started.url


NOWHERE = "http://127.0.0.1:9"


def _alias(name: str) -> Alias:
    accepts: tuple[Any, ...] = ("max_tokens", "temperature", "system")
    return Alias(name, (Target(f"p/{name}", "p", name, 4096, 100_000, accepts),), retries=0)


# One alias answers from documents, so its answers are not kept; those of the other one are.
ROUTES = Routes(
    (_alias("informed"), _alias("plain")),
    limits=CallerLimits(others=Limits((Limit("tokens", "day", 1_000_000),), calls_in_flight=10)),
    cache=AnswerCache(ttl_seconds=600),
)


@dataclass(frozen=True)
class Case:
    """What fails, and what a caller of an alias gets then.

    `silent` is the stage that waits for what never answers. `tokens` are those that are charged in the end, None where the
    reservation stays; `asked` the calls of the model.
    """

    expected: Answer
    model: str = "plain"
    appconfig: bool = True
    document: Any = None
    guardrail: Callable[[], Fake] | None = GuardrailUpstream
    fail_open: bool = False
    knowledge_base: Callable[[], Fake] | None = lambda: KnowledgeBaseUpstream(DOCUMENTS)
    answer_without: bool = False
    silent: ModuleType | None = None
    failing: dict[str, str] = field(default_factory=dict)
    after: dict[str, int] = field(default_factory=dict)
    times: dict[str, int] = field(default_factory=dict)
    tokens: int | None = USED
    requests: int = 1
    asked: int = 1


def _silent() -> Fake:
    return Fake(plays(wait=True))


def _throttles_once() -> Fake:
    return KnowledgeBaseUpstream({}, knowledge_bases.refusal(429, THROTTLED), knowledge_bases.found("Hi.", tenant="acme"))


def _fails_at_the_answer() -> Fake:
    passes = response(200, {"action": "NONE", "assessments": [], "outputs": []})
    return GuardrailUpstream(passes, guardrails.refusal(403, "AccessDeniedException"))


GOES_ON = Case(Answer(TEXT))
INFORMED = replace(GOES_ON, model="informed")
NO_PASSAGES = replace(INFORMED, expected=Answer(TEXT, retrieval="unavailable"), answer_without=True)
REFUSED = replace(GOES_ON, tokens=0, asked=0)
UNCHECKED = replace(REFUSED, expected=Answer("", "guardrail_unavailable", 1))
UNINFORMED = replace(REFUSED, model="informed", expected=Answer("", "retrieval_unavailable", 1))
NOT_COUNTED = replace(REFUSED, expected=Answer("", "limits_unavailable", 1), requests=0)
GUARDRAIL_THROTTLED = {"guardrail": lambda: GuardrailUpstream(guardrails.refusal(429, THROTTLED))}
BASE_THROTTLED = {"knowledge_base": lambda: KnowledgeBaseUpstream({}, knowledge_bases.refusal(429, THROTTLED))}

CASES: dict[str, Case] = {
    "nothing": GOES_ON,
    "nothing, with documents": INFORMED,
    "AppConfig is down": replace(GOES_ON, appconfig=False),
    "AppConfig has nothing": GOES_ON,
    "AppConfig's document is wrong": replace(GOES_ON, document={"models": {"plain": {"enabled": False}, "gone": {}}}),
    "AppConfig's document is no object": replace(GOES_ON, document="[]"),
    "the service is switched off": replace(
        REFUSED,
        document={"service": {"enabled": False, "retry_after": 7}},
        expected=Answer("", "service_disabled", 7),
        requests=0,
    ),
    "the knowledge base is down": replace(UNINFORMED, knowledge_base=None),
    "the knowledge base throttles": replace(UNINFORMED, **BASE_THROTTLED),
    "the knowledge base is silent": replace(UNINFORMED, knowledge_base=_silent, silent=knowledge_base),
    "the knowledge base is down, and not needed": replace(NO_PASSAGES, knowledge_base=None),
    "the knowledge base throttles, and is not needed": replace(NO_PASSAGES, **BASE_THROTTLED),
    "the knowledge base is silent, and not needed": replace(NO_PASSAGES, knowledge_base=_silent, silent=knowledge_base),
    "the guardrail is down": replace(UNCHECKED, guardrail=None),
    "the guardrail throttles": replace(UNCHECKED, **GUARDRAIL_THROTTLED),
    "the guardrail is silent": replace(UNCHECKED, guardrail=_silent, silent=guardrail),
    "the guardrail is down, and fails open": replace(GOES_ON, guardrail=None, fail_open=True),
    "the guardrail throttles, and fails open": replace(GOES_ON, **GUARDRAIL_THROTTLED, fail_open=True),
    "the guardrail is silent, and fails open": replace(GOES_ON, guardrail=_silent, fail_open=True, silent=guardrail),
    "the knowledge base throttles once": replace(INFORMED, knowledge_base=_throttles_once),
    "the guardrail fails at the answer": replace(
        GOES_ON, guardrail=_fails_at_the_answer, expected=Answer("", "guardrail_unavailable")
    ),
    "the cache's table is down": replace(GOES_ON, failing={CACHE: DOWN}),
    "the cache's table throttles": replace(GOES_ON, failing={CACHE: THROTTLED}),
    "the cache's table throttles once": replace(GOES_ON, failing={CACHE: THROTTLED}, times={CACHE: 1}),
    "the cache's table fails at the end": replace(GOES_ON, failing={CACHE: DOWN}, after={CACHE: 1}),
    "the ledger's table is down": replace(NOT_COUNTED, failing={LEDGER: DOWN}),
    "the ledger's table throttles": replace(NOT_COUNTED, failing={LEDGER: THROTTLED}),
    "the ledger's table throttles once": replace(GOES_ON, failing={LEDGER: THROTTLED}, times={LEDGER: 1}),
    "the ledger's table throttles once at the end": replace(
        GOES_ON, failing={LEDGER: THROTTLED}, after={LEDGER: 1}, times={LEDGER: 1}
    ),
    "the ledger's table is down at the end": replace(GOES_ON, failing={LEDGER: DOWN}, after={LEDGER: 1}, tokens=None),
    "the ledger's table throttles at the end": replace(GOES_ON, failing={LEDGER: THROTTLED}, after={LEDGER: 1}, tokens=None),
}


# What holds the connections and the generations of the WebSocket API alone, and what its clients get.
UNRECORDED = replace(NOT_COUNTED, expected=Answer("", "generations_unavailable", 1))
WEBSOCKET_CASES: dict[str, Case] = {
    "the connections' table is down": replace(UNRECORDED, failing={CONNECTIONS: DOWN}),
    "the connections' table throttles": replace(UNRECORDED, failing={CONNECTIONS: THROTTLED}),
    "the connections' table throttles once": replace(GOES_ON, failing={CONNECTIONS: THROTTLED}, times={CONNECTIONS: 1}),
    "no lease can be taken": replace(UNRECORDED, failing={CONNECTIONS: DOWN}, after={CONNECTIONS: 1}),
    "the journal is down": replace(UNRECORDED, failing={JOURNAL: DOWN}),
    "the journal throttles": replace(UNRECORDED, failing={JOURNAL: THROTTLED}),
    "the journal throttles once": replace(GOES_ON, failing={JOURNAL: THROTTLED}, times={JOURNAL: 1}),
}
JOURNAL_WITHOUT_END = {
    "the journal is down at the end": replace(GOES_ON, failing={JOURNAL: DOWN}, after={JOURNAL: 1}),
    "the journal throttles at the end": replace(GOES_ON, failing={JOURNAL: THROTTLED}, after={JOURNAL: 1}),
}
EVERY_CASE = [
    *(pytest.param(case, ask, id=f"{name}-{by}") for name, case in CASES.items() for by, ask in TRANSPORTS.items()),
    *(pytest.param(case, websocket, id=name) for name, case in {**WEBSOCKET_CASES, **JOURNAL_WITHOUT_END}.items()),
]


@pytest.mark.parametrize(("case", "ask"), EVERY_CASE)
async def test_a_failing_service_has_a_defined_answer(
    start: Start, case: Case, ask: Callable[[World, str], Awaitable[Answer]], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[dict[str, Any]] = []
    monkeypatch.setattr(telemetry, "write_log", lambda fields: lines.append(dict(fields)))
    monkeypatch.setattr(journal_writer, "_FINAL_WRITES", 1)
    world = await start(case)
    assert await ask(world, case.model) == case.expected
    if ask is websocket:
        head = await world.journal.head('["acme","ci","one"]')
        status = None if case in WEBSOCKET_CASES.values() and case.expected.code else "ended"
        expected = "running" if case in JOURNAL_WITHOUT_END.values() else status  # until its function seems to have died
        assert (None if head is None else head.status) == expected
    account = await world.account()
    assert account.pop("requests") == case.requests
    if case.tokens is None:  # it stays charged, and in flight until its function is over in any case
        assert account["tokens"] > USED and account["in flight"] == 1
    else:
        assert account == {"tokens": case.tokens, "in flight": 0}
    assert world.model.asked == case.asked
    assert [line.get("error.type", "") for line in lines if line["level"] != "WARN" and "request_id" in line] == [
        case.expected.code
    ]
