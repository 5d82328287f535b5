"""Retrieval over the whole local run: documents in the bucket, a job, and answers over REST, streams and WebSockets."""

import asyncio
import json
from typing import Any

import boto3
import httpx
import pytest
from botocore.config import Config

from system.local.conftest import events, local_stack
from system.local.test_websocket import ask, connected, messages_until_end

pytestmark = pytest.mark.timeout(300)

DOCUMENTS = {
    "leave.md": ("Leave: 30 days a year.", "default"),
    "all.md": ("Office: nine to five.", "*"),
    "x.md": ("Leave!", "x"),
}


def _client(service: str, variables: dict[str, str]) -> Any:
    return boto3.client(
        service,  # pyright: ignore[reportArgumentType]
        endpoint_url=variables[f"AWS_ENDPOINT_URL_{service.upper().replace('-', '_')}"],
        region_name=variables["AWS_REGION"],
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
        config=Config(proxies={}),
    )


def _fill(outputs: dict[str, Any], variables: dict[str, str]) -> None:
    s3, agent = _client("s3", variables), _client("bedrock-agent", variables)
    for key, (text, tenant) in DOCUMENTS.items():
        s3.put_object(Bucket=outputs["documents_bucket"], Key=key, Body=text.encode())
        metadata = json.dumps({"metadataAttributes": {"tenant": tenant}}).encode()
        s3.put_object(Bucket=outputs["documents_bucket"], Key=f"{key}.metadata.json", Body=metadata)
    agent.start_ingestion_job(knowledgeBaseId=outputs["knowledge_base_id"], dataSourceId=outputs["data_source_id"])


async def test_answers_cite_documents_of_the_callers_tenant_on_every_transport() -> None:
    config = ["--config", "knowledge_base.enabled=true", "--config", "api.retrieval={}", "--config", "websocket.enabled=true"]
    with local_stack(*config, json_output=False) as stack:
        assert stack.process.stdout is not None
        lines: list[str] = []
        while "Ctrl-C" not in (line := stack.process.stdout.readline()):
            lines.append(line)
        text = "".join(lines)
        variables = dict(each.split("=", 1) for each in text.partition("  bedrock  ")[2].splitlines()[0].split())
        url = text.partition(" s: ")[2].split()[0]
        key = text.partition("x-api-key: ")[2].partition("'")[0]
        async with httpx.AsyncClient(base_url=url, timeout=60, headers={"x-api-key": key}) as client:
            page = (await client.get(text.partition("  status   ")[2].split()[0])).text
            names = ("documents_bucket", "knowledge_base_id", "data_source_id")
            outputs = {name: page.partition(f"{name}</th><td><code>")[2].partition("<")[0] for name in names}
            await asyncio.to_thread(_fill, outputs, variables)
            answer = (await client.post("/chat", json={"message": "How many days of leave?"})).json()
            stream = await client.post("/chat/stream", json={"message": "How many days of leave?"})
        stack.outputs.update(api_key_value=key, websocket_url=text.partition("  ws       ")[2].split()[0])
        async with connected(stack) as websocket:
            await ask(websocket, action="chat", id="one", message="How many days of leave?")
            messages = await messages_until_end(websocket)
    cited = [answer["citations"], events(stream.text.splitlines())[0][2]["citations"], messages[0]["citations"]]
    for citations in cited:
        assert [each["title"] for each in citations] == ["leave.md", "all.md"]
        assert citations[0]["source"] == f"s3://{outputs['documents_bucket']}/leave.md"
