"""What the functions of the WebSocket API call: DynamoDB, played by moto, and API Gateway's @connections."""

import asyncio
import contextlib
import json
import threading
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from llm_gateway import tables
from llm_gateway.aws.client import Aws
from llm_gateway.aws.dynamodb import DynamoDB
from llm_gateway.http.client import HttpClient
from llm_gateway.identity import connections, keys, tickets
from llm_gateway.stages import journal, ledger
from llm_gateway.tables import JOBS
from pulumi_llm_local.services import moto_server
from pulumi_llm_local.services.signature import SignatureError, verify_signature
from support import jobs_table
from support.local_bedrock import KEYS, REGION
from support.web_app import listening

JOURNAL, CONNECTIONS, TICKETS, API_KEYS = "the-journal", "the-connections", "the-tickets", "the-keys"
LEDGER, USAGE = "the-ledger", "the-usage"


@contextlib.contextmanager
def dynamodb_server() -> Iterator[str]:
    """The address of a DynamoDB without tables."""
    server = moto_server.server(0)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        thread.join()


def aws(client: HttpClient, **environ: str) -> Aws:
    keys = {"AWS_ACCESS_KEY_ID": KEYS.access_key, "AWS_SECRET_ACCESS_KEY": KEYS.secret_key}
    return Aws(client, {"AWS_REGION": REGION, **keys, **environ})


async def create_tables(dynamodb: DynamoDB) -> None:
    """Make all tables anew."""
    attributes_of = {
        JOURNAL: {journal.HASH_KEY: "S", journal.SORT_KEY: "N"},
        CONNECTIONS: {connections.HASH_KEY: "S"},
        TICKETS: {tickets.HASH_KEY: "S"},
        API_KEYS: {keys.HASH_KEY: "S"},
        LEDGER: {ledger.HASH_KEY: "S"},
        USAGE: {tables.USAGE.hash_key: "S", tables.USAGE.sort_key: "S"},
    }
    call: Any = vars(DynamoDB)["_call"]
    for name, attributes in attributes_of.items():
        if name in (await call(dynamodb, "ListTables", {}))["TableNames"]:
            await call(dynamodb, "DeleteTable", {"TableName": name})
        body = {
            "TableName": name,
            "KeySchema": [
                {"AttributeName": attribute, "KeyType": kind}
                for attribute, kind in zip(attributes, ("HASH", "RANGE"), strict=False)
            ],
            "AttributeDefinitions": [{"AttributeName": n, "AttributeType": t} for n, t in attributes.items()],
            "BillingMode": "PAY_PER_REQUEST",
        }
        await call(dynamodb, "CreateTable", body)
    await _create_jobs_table(call, dynamodb)


async def _create_jobs_table(call: Any, dynamodb: DynamoDB) -> None:
    if jobs_table.TABLE in (await call(dynamodb, "ListTables", {}))["TableNames"]:
        await call(dynamodb, "DeleteTable", {"TableName": jobs_table.TABLE})
    body = {
        "TableName": jobs_table.TABLE,
        "KeySchema": [{"AttributeName": JOBS.hash_key, "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name in jobs_table.ATTRIBUTES],
        "GlobalSecondaryIndexes": jobs_table.INDEXES,
        "BillingMode": "PAY_PER_REQUEST",
    }
    await call(dynamodb, "CreateTable", body)


class Clients:
    """The clients of a WebSocket API, as API Gateway's @connections reaches them.

    Attributes:
        got: The messages of each connection, in their order.
        frames: How many frames they came in.
        gone: The connections that are closed.
        calls: Each call: its method and connection.
        failures: The statuses with which the next calls fail.
        busy: Whether API Gateway takes no message, or for which connections: it throttles, or a client's buffer is full.
    """

    def __init__(self) -> None:
        self.url = ""
        self.got: dict[str, list[Any]] = defaultdict(list)
        self.frames: dict[str, int] = defaultdict(int)
        self.gone: set[str] = set()
        self.calls: list[tuple[str, str]] = []
        self.failures: list[int] = []
        self.busy: bool | set[str] = False
        self.refused = asyncio.Event()
        self.arrived = asyncio.Event()
        self.closed = asyncio.Event()

    @property
    def stage_url(self) -> str:
        return f"{self.url}/ws"

    def text(self, *connections: str) -> str:
        """The text that a client has which was on these connections one after the other."""
        messages = {m["seq"]: m for connection in connections for m in self.got[connection] if "seq" in m}
        assert sorted(messages) == list(range(1, len(messages) + 1))
        return "".join(messages[seq].get("text", "") for seq in sorted(messages) if messages[seq]["type"] == "delta")

    async def until(self, connection: str, type: str, id: str = "one") -> Any:
        """Wait for a message of a type, and return the first one."""
        while True:
            for message in self.got[connection]:
                if (message["type"], message["id"]) == (type, id):
                    return message
            self.arrived.clear()
            await self.arrived.wait()

    @contextlib.asynccontextmanager
    async def serve(self) -> AsyncIterator["Clients"]:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        async with listening(app) as self.url:
            yield self

    async def _handle(self, request: web.Request) -> web.Response:
        prefix, connection = request.raw_path.rsplit("/", 1)
        assert prefix == "/ws/@connections"
        connection = unquote(connection)
        body = await request.read()
        self.calls.append((request.method, connection))
        try:
            verify_signature(request, body, REGION, KEYS, "execute-api")
        except SignatureError as error:
            return web.json_response({"message": error.message}, status=403)
        if self.failures:
            return web.json_response({"message": "no"}, status=self.failures.pop(0))
        busy = connection in self.busy if isinstance(self.busy, set) else self.busy
        if busy and request.method == "POST":
            self.refused.set()
            return web.json_response({"message": None}, status=429, headers={"x-amzn-errortype": "LimitExceededException"})
        if connection in self.gone:
            return web.json_response({}, status=410)
        if request.method == "DELETE":
            self.gone.add(connection)
            self.closed.set()
            return web.Response(status=204)
        if request.method == "POST":
            assert len(body) <= 32 * 1024
            sent = json.loads(body)
            self.got[connection] += sent if isinstance(sent, list) else [sent]
            self.frames[connection] += 1
            self.arrived.set()
        return web.json_response({})
