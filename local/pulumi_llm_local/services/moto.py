"""The services that moto plays, filled with what the program declares: today DynamoDB, SSM's parameters and Secrets Manager.

moto is a mock of AWS's own APIs: https://docs.getmoto.org
"""

import asyncio
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp

from pulumi_llm_local.program.graph import Graph
from pulumi_llm_local.services.lambda_function import routes_documents
from pulumi_llm_local.services.local_run import LocalRun
from pulumi_llm_local.services.process import spawn, start_server, stop_process

TABLE = "aws:dynamodb/table:Table"
TABLE_ITEM = "aws:dynamodb/tableItem:TableItem"
PARAMETER = "aws:ssm/parameter:Parameter"
PLAYED = frozenset({TABLE, TABLE_ITEM, PARAMETER})
# The run makes the keys that its stand-ins for the providers want.
IMPLIED = frozenset({"aws:secretsmanager/secret:Secret"})
# The variables by which every AWS SDK finds these services.
ENDPOINTS = ("AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL_SSM", "AWS_ENDPOINT_URL_SECRETSMANAGER")
# Seconds that moto may take to listen.
_START_SECONDS = 30.0


class MotoError(Exception):
    """moto did not start, or refused what the program declares."""


async def start(run: LocalRun) -> None:
    """Start moto while the program is evaluated, and make what the program declares and names. Raises `MotoError`."""
    moto = Moto(run.logs / "moto.log", run.environment)
    run.stop.push_async_callback(moto.stop)
    started = asyncio.ensure_future(moto.start())  # it takes as long as the program, so both at once
    run.stop.callback(started.cancel)
    graph = await run.loading
    await started
    arns = [endpoint.secret_arn for routes in routes_documents(graph) for endpoint in routes.endpoints if endpoint.secret_arn]
    await moto.fill(graph, {arn: run.provider_keys[arn] for arn in arns})
    run.variables |= dict.fromkeys(ENDPOINTS, moto.url)


class Moto:
    """moto as a server process of its own."""

    def __init__(self, log: Path, environment: Mapping[str, str]) -> None:
        self._log = log
        self._environment = environment
        self._process: asyncio.subprocess.Process | None = None
        self.url = ""

    async def start(self) -> None:
        """Start the server and wait until it listens. Raises `MotoError`."""
        port = await start_server(self._spawn, _START_SECONDS)
        if port is None:
            raise MotoError(f"moto did not start; see {self._log}")
        self.url = f"http://127.0.0.1:{port}"

    async def fill(self, graph: Graph, secrets: Mapping[str, str]) -> None:
        """Make what the program declares, and secrets that it only names, by their ARNs. Raises `MotoError`."""
        async with aiohttp.ClientSession() as session:
            for table in graph.of_type(TABLE):
                await self._create_table(session, graph.region, table.state)
            for item in graph.of_type(TABLE_ITEM):
                values = {"TableName": item.state["tableName"], "Item": json.loads(item.state["item"])}
                await self._call(session, graph.region, "dynamodb", "DynamoDB_20120810.PutItem", values)
            for parameter in graph.of_type(PARAMETER):
                values = {key: parameter.state[key.lower()] for key in ("Name", "Type", "Value")}
                await self._call(session, graph.region, "ssm", "AmazonSSM.PutParameter", {**values, "Overwrite": True})
            for arn, value in secrets.items():
                # moto chooses an ARN itself, but finds a secret by the end of an ARN that is its name.
                values = {"Name": arn.rpartition(":")[2], "SecretString": value}
                await self._call(session, graph.region, "secretsmanager", "secretsmanager.CreateSecret", values)

    async def stop(self) -> None:
        await stop_process(self._process)

    async def _spawn(self, port: int) -> asyncio.subprocess.Process:
        command = [sys.executable, "-P", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        self._process = await spawn(sys.executable, command, self._environment, self._log, self._log.parent)
        return self._process

    async def _create_table(self, session: aiohttp.ClientSession, region: str, table: Mapping[str, Any]) -> None:
        keys = [{"AttributeName": table["hashKey"], "KeyType": "HASH"}]
        if table.get("rangeKey"):
            keys.append({"AttributeName": table["rangeKey"], "KeyType": "RANGE"})
        attributes = [{"AttributeName": a["name"], "AttributeType": a["type"]} for a in table["attributes"]]
        body = {
            "TableName": table["name"],
            "KeySchema": keys,
            "AttributeDefinitions": attributes,
            "BillingMode": table.get("billingMode", "PAY_PER_REQUEST"),
        }
        await self._call(session, region, "dynamodb", "DynamoDB_20120810.CreateTable", body)

    async def _call(
        self, session: aiohttp.ClientSession, region: str, service: str, operation: str, body: Mapping[str, Any]
    ) -> None:
        # moto reads the service and the Region from the signature's scope, and checks no signature.
        scope = f"local/20000101/{region}/{service}/aws4_request"
        headers = {
            "x-amz-target": operation,
            "content-type": "application/x-amz-json-1.1",
            "authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0",
        }
        async with session.post(self.url, data=json.dumps(body), headers=headers) as response:
            if response.status != 200:
                raise MotoError(f"moto refused {operation}: {await response.text()}")
