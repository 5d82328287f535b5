"""The receivers of the program's webhooks: this run stands for all of them, so that nothing is sent to real ones.

A receiver verifies each message as Standard Webhooks has it, and writes what has come to webhooks.log, one JSON object a line.
https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from llm_gateway.environment import WEBHOOKS, WEBHOOKS_RECEIVER
from pulumi_llm_local.aws_types.lambda_ import FUNCTION
from pulumi_llm_local.program.graph import Graph
from pulumi_llm_local.services.event_log import EventLog
from pulumi_llm_local.services.local_run import LocalRun

PLAYED = IMPLIED = frozenset[str]()
# Older and newer messages may be somebody else's repetition of one. The specification's libraries allow five minutes.
_TOLERANCE_SECONDS = 5 * 60


async def start(run: LocalRun) -> None:
    """Serve a receiver for each webhook of the program."""
    webhooks = declared(run.graph)
    if not webhooks:
        return
    log = EventLog(run.logs / "webhooks.log")

    async def receive(request: web.Request) -> web.Response:
        webhook = webhooks.get(request.match_info["name"])
        if webhook is None:
            return web.Response(status=404)
        body = await request.read()
        problem = problem_of(request.headers, body, run.webhook_secrets[webhook["secret_arn"]])
        log.write(
            json.dumps(
                {
                    "webhook": webhook["name"],
                    "url": webhook["url"],
                    "id": request.headers.get("webhook-id", ""),
                    "verified": not problem,
                    **({"problem": problem} if problem else {"message": json.loads(body)}),
                }
            )
        )
        return web.Response(status=401 if problem else 204)

    app = web.Application()
    app.router.add_post("/{name}", receive)
    run.variables[WEBHOOKS_RECEIVER] = await run.serve(app)


def declared(graph: Graph) -> dict[str, dict[str, Any]]:
    """Return the webhooks that the program's functions send to, by their names."""
    found: dict[str, dict[str, Any]] = {}
    for function in graph.of_type(FUNCTION):
        environment: Mapping[str, Any] = function.state.get("environment") or {}
        variables: Mapping[str, Any] = environment.get("variables") or {}
        if WEBHOOKS in variables:
            found |= {str(each["name"]): each for each in json.loads(variables[WEBHOOKS])}
    return found


def new_secret() -> str:
    return f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}"


def problem_of(headers: Mapping[str, str], body: bytes, secret: str) -> str:
    """Return what is wrong with a message, empty where it is right."""
    id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not id or not timestamp.isdigit():
        return "it has no webhook-id or no webhook-timestamp"
    if abs(time.time() - int(timestamp)) > _TOLERANCE_SECONDS:
        return "it is too old or too new"
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.new(key, f"{id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    right = f"v1,{base64.b64encode(digest).decode()}"
    given = headers.get("webhook-signature", "").split()
    return "" if any(hmac.compare_digest(right, each) for each in given) else "no signature is right"
