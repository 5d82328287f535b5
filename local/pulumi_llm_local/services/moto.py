"""The services that moto plays, filled with what the program declares: DynamoDB with its streams, SQS, S3, SSM's parameters and
Secrets Manager.

moto is a mock of AWS's own APIs: https://docs.getmoto.org
"""

import asyncio
import json
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import aiohttp

from pulumi_llm_local.program.graph import Graph
from pulumi_llm_local.program.routes import routes_documents
from pulumi_llm_local.services import webhooks
from pulumi_llm_local.services.local_run import LocalRun
from pulumi_llm_local.services.moto_server import OWN_KEY
from pulumi_llm_local.services.process import spawn, start_server, stop_process
from pulumi_llm_local.upstreams.fault import Fault

TABLE = "aws:dynamodb/table:Table"
TABLE_ITEM = "aws:dynamodb/tableItem:TableItem"
PARAMETER = "aws:ssm/parameter:Parameter"
QUEUE = "aws:sqs/queue:Queue"
BUCKET = "aws:s3/bucket:Bucket"
PLAYED = frozenset({TABLE, TABLE_ITEM, PARAMETER, QUEUE, BUCKET})
# The run makes the keys that its stand-ins for the providers want.
IMPLIED = frozenset({"aws:secretsmanager/secret:Secret", "aws:sqs/redriveAllowPolicy:RedriveAllowPolicy"})
# The variables by which every AWS SDK finds these services.
SQS_ENDPOINT, S3_ENDPOINT, DYNAMODB_ENDPOINT = "AWS_ENDPOINT_URL_SQS", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL_DYNAMODB"
ENDPOINTS = (DYNAMODB_ENDPOINT, "AWS_ENDPOINT_URL_SSM", "AWS_ENDPOINT_URL_SECRETSMANAGER", SQS_ENDPOINT, S3_ENDPOINT)
# What `--fault` calls the tables.
DYNAMODB = "dynamodb"
# Seconds that moto may take to listen.
_START_SECONDS = 30.0


class MotoError(Exception):
    """moto did not start, or refused what the program declares."""


async def start(run: LocalRun) -> None:
    """Start moto while the program is evaluated, and make what the program declares and names. Raises `MotoError`."""
    moto = Moto(run.logs / "moto.log", run.environment, throttled_share(run.options.faults))
    run.stop.push_async_callback(moto.stop)
    started = asyncio.ensure_future(moto.start())  # it takes as long as the program, so both at once
    run.stop.callback(started.cancel)
    graph = await run.loading
    await started
    endpoints = [endpoint for routes in routes_documents(graph) for endpoint in routes.endpoints]
    secrets = {each.secret_arn: run.provider_keys[each.secret_arn] for each in endpoints if each.secret_arn}
    tracing = [routes.tracing.secret_arn for routes in routes_documents(graph) if routes.tracing is not None]
    secrets |= {arn: run.provider_keys[arn] for arn in tracing if arn}
    run.webhook_secrets |= {each["secret_arn"]: webhooks.new_secret() for each in webhooks.declared(graph).values()}
    secrets |= run.webhook_secrets
    await moto.fill(graph, secrets, {each.wake_queue_url for each in endpoints if each.wake_queue_url})
    run.variables |= dict.fromkeys(ENDPOINTS, moto.url)
    if any(True for _ in graph.of_type(QUEUE)):
        run.queues |= {**run.aws_variables(), SQS_ENDPOINT: moto.url, DYNAMODB_ENDPOINT: moto.url}


def throttled_share(faults: Sequence[Fault]) -> float:
    """Return the share of DynamoDB's calls that is to be throttled. Raises `MotoError` for a fault of another kind."""
    of_dynamodb = [fault for fault in faults if fault.upstream == DYNAMODB]
    for fault in of_dynamodb:
        if fault.kind != "throttle":
            raise MotoError(f"--fault: {DYNAMODB} has the fault throttle alone, not {fault.kind}")
    return min(1.0, sum(fault.rate for fault in of_dynamodb))


class Moto:
    """moto as a server process of its own, which throttles a share of DynamoDB's calls."""

    def __init__(self, log: Path, environment: Mapping[str, str], throttled: float = 0) -> None:
        self._log = log
        self._environment = environment
        self._throttled = throttled
        self._process: asyncio.subprocess.Process | None = None
        self.url = ""

    async def start(self) -> None:
        """Start the server and wait until it listens. Raises `MotoError`."""
        port = await start_server(self._spawn, _START_SECONDS)
        if port is None:
            raise MotoError(f"moto did not start; see {self._log}")
        self.url = f"http://127.0.0.1:{port}"

    async def fill(self, graph: Graph, secrets: Mapping[str, str], queues: Collection[str]) -> None:
        """Make what the program declares, and what it only names: secrets by their ARNs, queues by their URLs.

        Raises `MotoError`.
        """
        async with aiohttp.ClientSession() as session:
            for table in graph.of_type(TABLE):
                await self._create_table(session, graph.region, table.state)
            for item in graph.of_type(TABLE_ITEM):
                values = {"TableName": item.state["tableName"], "Item": json.loads(item.state["item"])}
                await self._call(session, graph.region, "dynamodb", "DynamoDB_20120810.PutItem", values)
            for parameter in graph.of_type(PARAMETER):
                values = {key: parameter.state[key.lower()] for key in ("Name", "Type", "Value")}
                await self._call(session, graph.region, "ssm", "AmazonSSM.PutParameter", {**values, "Overwrite": True})
            for queue in graph.of_type(QUEUE):
                await self._create_queue(session, graph.region, queue.state)
            declared = {queue.state["url"] for queue in graph.of_type(QUEUE)}
            for url in sorted(set(queues) - declared):
                await self._create_queue(session, graph.region, {"name": url.rpartition("/")[2]})
            for bucket in graph.of_type(BUCKET):
                await create_bucket(session, self.url, graph.region, str(bucket.state["bucket"]))
            for arn, value in secrets.items():
                # moto chooses an ARN itself, but finds a secret by the end of an ARN that is its name.
                values = {"Name": arn.rpartition(":")[2], "SecretString": value}
                await self._call(session, graph.region, "secretsmanager", "secretsmanager.CreateSecret", values)

    async def stop(self) -> None:
        await stop_process(self._process)

    async def _spawn(self, port: int) -> asyncio.subprocess.Process:
        command = [sys.executable, "-P", "-m", "pulumi_llm_local.services.moto_server", str(port), str(self._throttled)]
        self._process = await spawn(sys.executable, command, self._environment, self._log, self._log.parent)
        return self._process

    async def _create_table(self, session: aiohttp.ClientSession, region: str, table: Mapping[str, Any]) -> None:
        attributes = [{"AttributeName": a["name"], "AttributeType": a["type"]} for a in table["attributes"]]
        body = {
            "TableName": table["name"],
            "KeySchema": _key_schema(table),
            "AttributeDefinitions": attributes,
            "BillingMode": table.get("billingMode", "PAY_PER_REQUEST"),
        }
        if indexes := table.get("globalSecondaryIndexes"):
            body["GlobalSecondaryIndexes"] = [_index(each) for each in indexes]
        if table.get("streamEnabled"):
            body["StreamSpecification"] = {"StreamEnabled": True, "StreamViewType": table["streamViewType"]}
        await self._call(session, region, "dynamodb", "DynamoDB_20120810.CreateTable", body)

    async def _create_queue(self, session: aiohttp.ClientSession, region: str, queue: Mapping[str, Any]) -> None:
        attributes = {"VisibilityTimeout": str(int(queue.get("visibilityTimeoutSeconds", 30)))}
        attributes |= {theirs: str(int(queue[ours])) for ours, theirs in _QUEUE_ATTRIBUTES.items() if queue.get(ours)}
        if queue.get("redrivePolicy"):
            attributes["RedrivePolicy"] = queue["redrivePolicy"]
        if queue.get("fifoQueue"):
            attributes["FifoQueue"] = "true"
        values = {"QueueName": queue["name"], "Attributes": attributes}
        await self._call(session, region, "sqs", "AmazonSQS.CreateQueue", values)

    async def _call(
        self, session: aiohttp.ClientSession, region: str, service: str, operation: str, body: Mapping[str, Any]
    ) -> None:
        await call(session, self.url, region, service, operation, body)


# What a queue has besides its visibility timeout, by the provider's names and SQS's.
_QUEUE_ATTRIBUTES = {
    "delaySeconds": "DelaySeconds",
    "messageRetentionSeconds": "MessageRetentionPeriod",
    "receiveWaitTimeSeconds": "ReceiveMessageWaitTimeSeconds",
}


def _key_schema(keyed: Mapping[str, Any]) -> list[dict[str, str]]:
    """The key of a table or of an index."""
    keys = {"HASH": keyed["hashKey"], "RANGE": keyed.get("rangeKey")}
    return [{"AttributeName": name, "KeyType": kind} for kind, name in keys.items() if name]


def _index(index: Mapping[str, Any]) -> dict[str, Any]:
    projection = {"ProjectionType": index["projectionType"]}
    if names := index.get("nonKeyAttributes"):
        projection["NonKeyAttributes"] = names
    return {"IndexName": index["name"], "KeySchema": _key_schema(index), "Projection": projection}


async def create_bucket(session: aiohttp.ClientSession, url: str, region: str, bucket: str) -> None:
    """Make a bucket. Raises `MotoError`."""
    place = "" if region == "us-east-1" else f"<LocationConstraint>{region}</LocationConstraint>"
    body = f"<CreateBucketConfiguration>{place}</CreateBucketConfiguration>" if place else ""
    async with session.put(f"{url}/{bucket}", data=body, headers=scope(region, "s3")) as response:
        if response.status != 200:
            raise MotoError(f"moto refused the bucket {bucket}: {await response.text()}")


async def queue_depth(moto_url: str, region: str, queue_url: str) -> int:
    """Return how many messages a queue holds. Raises `MotoError`."""
    body = {"QueueUrl": queue_url, "AttributeNames": ["ApproximateNumberOfMessages"]}
    async with aiohttp.ClientSession() as session:
        answer = await call(session, moto_url, region, "sqs", "AmazonSQS.GetQueueAttributes", body)
    return int(answer["Attributes"]["ApproximateNumberOfMessages"])


async def call(
    session: aiohttp.ClientSession, url: str, region: str, service: str, operation: str, body: Mapping[str, Any]
) -> Any:
    """Call moto at its URL by a JSON protocol. Raises `MotoError`."""
    headers = {
        "x-amz-target": operation,
        "content-type": f"application/x-amz-json-1.{0 if service == 'sqs' else 1}",
        **scope(region, service),
    }
    async with session.post(url, data=json.dumps(body), headers=headers) as response:
        if response.status != 200:
            raise MotoError(f"moto refused {operation}: {await response.text()}")
        return await response.json(content_type=None)


def scope(region: str, service: str) -> dict[str, str]:
    """The header by which moto knows the service and the Region. It checks no signature."""
    signed_for = f"{OWN_KEY}20000101/{region}/{service}/aws4_request"
    return {"authorization": f"AWS4-HMAC-SHA256 {signed_for}, SignedHeaders=host, Signature=0"}
