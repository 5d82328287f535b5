"""A local Bedrock to be called by boto3, as the functions and any other client call it."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import boto3
from botocore.config import Config

from pulumi_llm_local.services.signature import Credentials
from pulumi_llm_local.upstreams.bedrock.app import create_app
from pulumi_llm_local.upstreams.fault import Fault
from pulumi_llm_local.upstreams.model import LanguageModel, ModelTraits
from pulumi_llm_local.upstreams.stand_in_model import StandInModel
from support.web_app import listening

REGION = "us-east-1"
KEYS = Credentials("AKIATEST", "test-secret")
ALL = frozenset({"max_tokens", "temperature", "top_p", "stop", "system", "tools"})
PROFILE = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.deepseek.r1-v1:0"
MODELS = {
    "test.all-v1:0": ModelTraits(ALL),
    "test.bare-v1": ModelTraits(frozenset({"max_tokens"}), max_output_tokens=100),
    "test.exclusive-v1": ModelTraits(ALL, exclusive=frozenset({"temperature", "top_p"})),
    "test.claude-v1:0": ModelTraits(ALL | {"prompt_caching"}),
    "test.nova-v1:0": ModelTraits(ALL | {"prompt_caching"}),
    PROFILE: ModelTraits(frozenset({"max_tokens", "system"}), reasoning=True),
    "arn:aws:bedrock:us-east-1:123456789012:imported-model/abcdef123456": ModelTraits(ALL),
}
HELLO = [{"role": "user", "content": [{"text": "Hello, who is there?"}]}]
WEATHER = {
    "toolSpec": {
        "name": "get_weather",
        "description": "The weather of a city",
        "inputSchema": {
            "json": {
                "type": "object",
                "properties": {
                    "city": {"type": "string"},
                    "unit": {"enum": ["celsius", "fahrenheit"]},
                    "days": {"type": "integer"},
                },
                "required": ["city", "unit"],
            }
        },
    }
}
CLOCK = {"toolSpec": {"name": "get_time", "inputSchema": {"json": {"type": "object"}}}}


@asynccontextmanager
async def running(
    model: LanguageModel | None = None, *faults: Fault, models: Mapping[str, ModelTraits] = MODELS
) -> AsyncIterator[str]:
    """The address of a Bedrock that `model` (by default the stand-in) answers."""
    app = create_app(region=REGION, credentials=KEYS, models=models, model=model or StandInModel(), faults=faults)
    async with listening(app) as url:
        yield url


def client(url: str, *, region: str = REGION, key: str = KEYS.access_key, secret: str = KEYS.secret_key, **config: Any) -> Any:
    config = {"retries": {"total_max_attempts": 1}, "proxies": {}, "read_timeout": 10, **config}
    return boto3.client(
        "bedrock-runtime",
        endpoint_url=url,
        region_name=region,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        config=Config(**config),
    )


async def converse(url: str, model: str = "test.all-v1:0", messages: Any = HELLO, **arguments: Any) -> Any:
    return await asyncio.to_thread(lambda: client(url).converse(modelId=model, messages=messages, **arguments))


async def stream(url: str, model: str = "test.all-v1:0", messages: Any = HELLO, **arguments: Any) -> list[dict[str, Any]]:
    call = {"modelId": model, "messages": messages, **arguments}
    return await asyncio.to_thread(lambda: list(client(url).converse_stream(**call)["stream"]))


def names(events: list[dict[str, Any]]) -> list[str]:
    return [name for event in events for name in event]


def deltas(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [event["contentBlockDelta"]["delta"] for event in events if "contentBlockDelta" in event]
