"""The gateway in front of one provider, played by one of `wire.providers`."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from llm_gateway.aws.client import Aws
from llm_gateway.routes import Alias, Endpoint, Routes, Target
from support.local_bedrock import REGION
from wire import http
from wire.speaker import KEY, Speaker

SECRET = f"arn:aws:secretsmanager:{REGION}:123456789012:secret:provider-key"


@pytest.fixture
def gateway_for(gateway, fake, monkeypatch) -> Callable[..., Any]:
    """Start the gateway in front of `upstream`, which speaks as `speaker`; its key comes from Secrets Manager."""

    async def start(speaker: Speaker, upstream: Any) -> Any:
        async def send_key(peer: Any) -> None:
            while True:
                assert (await peer.request())["SecretId"] == SECRET
                await peer.send(http.response(200, {"SecretString": json.dumps({"api_key": KEY})}))

        urls = {"bedrock-runtime": upstream.url, "secretsmanager": (await fake(send_key)).url}
        monkeypatch.setattr(Aws, "endpoint", lambda self, service: urls[service])
        target = Target(
            name="the/target",
            provider="there" if speaker.endpoint else "bedrock",
            model="test.model-v1:0",
            max_output_tokens=4096,
            context_tokens=100_000,
            accepts=(
                *("max_tokens", "temperature", "top_p", "stop", "system", "tools", "stream_tools", "forced_tools"),
                *(("reasoning_effort",) if speaker.takes_effort else ()),
            ),
            stop_max=3,
            **speaker.target,
        )
        secret = SECRET if speaker.key else ""
        base = upstream.url + ("" if speaker.endpoint == "anthropic" else "/v1")
        endpoints = (Endpoint("there", speaker.endpoint, base_url=base, secret_arn=secret),) if speaker.endpoint else ()
        return await gateway(routes=Routes((Alias("model", (target,), retries=0),), endpoints))

    return start
