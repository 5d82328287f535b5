"""A local run with a knowledge base, and documents that have been ingested into it."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urljoin

import boto3
import httpx
from botocore.config import Config

from system.local.conftest import LocalStack, local_stack

RETRIEVAL = ("--config", "knowledge_base.enabled=true", "--config", "api.retrieval={}", "--config", "websocket.enabled=true")
Documents = Mapping[str, tuple[str, Mapping[str, str]]]


@contextlib.contextmanager
def stack_with_documents(documents: Documents, *arguments: str) -> Iterator[LocalStack]:
    """Start the stack, and have documents ingested from its bucket: each one's text and metadata, by its key.

    `outputs` are those of the stack that a test needs, its `page`, and the variables `bedrock` by which an SDK calls it.
    """
    with local_stack(*RETRIEVAL, *arguments, json_output=False) as stack:
        assert stack.process.stdout is not None
        lines: list[str] = []
        while "Ctrl-C" not in (line := stack.process.stdout.readline()):
            lines.append(line)
        text = "".join(lines)
        status = text.partition("  status   ")[2].split()[0]
        told = httpx.get(status, timeout=60).text
        names = ("documents_bucket", "knowledge_base_id", "data_source_id")
        stack.outputs.update({name: told.partition(f"{name}</th><td><code>")[2].partition("<")[0] for name in names})
        stack.outputs.update(
            api_gateway_url=text.partition(" s: ")[2].split()[0],
            api_key_value=text.partition("x-api-key: ")[2].partition("'")[0],
            websocket_url=text.partition("  ws       ")[2].split()[0],
            page=urljoin(status, "/"),
            bedrock=dict(each.split("=", 1) for each in text.partition("  bedrock  ")[2].splitlines()[0].split()),
        )
        s3 = aws_client("s3", stack)
        for key, (body, metadata) in documents.items():
            described = json.dumps({"metadataAttributes": metadata}).encode()
            for name, data in ((key, body.encode()), (f"{key}.metadata.json", described)):
                s3.put_object(Bucket=stack.outputs["documents_bucket"], Key=name, Body=data)
        aws_client("bedrock-agent", stack).start_ingestion_job(**source_of(stack))
        yield stack


def source_of(stack: LocalStack) -> dict[str, str]:
    """What names the data source in calls of Bedrock."""
    return {"knowledgeBaseId": stack.outputs["knowledge_base_id"], "dataSourceId": stack.outputs["data_source_id"]}


def aws_client(service: str, stack: LocalStack) -> Any:
    variables: Mapping[str, str] = stack.outputs["bedrock"]
    return boto3.client(
        service,  # pyright: ignore[reportArgumentType]
        endpoint_url=variables[f"AWS_ENDPOINT_URL_{service.upper().replace('-', '_')}"],
        region_name=variables["AWS_REGION"],
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
        config=Config(proxies={}),
    )
