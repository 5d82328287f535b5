"""The entry point `http`: the ASGI application under uvicorn."""

import asyncio
import hmac
import os
from typing import TYPE_CHECKING, Any

from llm_functions.compose import batch_store, cancels, gateway, idempotency, job_store, key_store, ticket_table, usage_history
from llm_functions.http.application import Application
from llm_gateway import environment
from llm_gateway.http.client import HttpClient

if TYPE_CHECKING:
    from socket import socket

    from uvicorn.server import Server

    from llm_gateway.gateway import Gateway
    from llm_gateway.tracing.tracer import Tracer


def main() -> None:
    import gc

    from uvicorn.server import Server

    from llm_functions.http.server import config

    client = HttpClient()
    served = gateway(client)
    application = Application(
        served,
        keys=key_store(client),
        tickets=ticket_table(client),
        idempotency=idempotency(client),
        cancels=cancels(client),
        jobs=job_store(client),
        batches=batch_store(client) if os.environ.get(environment.BATCHES) == "true" else None,
        usage=usage_history(client),
    )
    secret = os.environ.get(environment.INVOKER)
    made = config(_only_with(secret, application) if secret else application)
    server = (Server if served.tracer is None else _flushing(served.tracer))(made)
    # All objects so far live as long as the process, and an answer leaves no cycles behind: collect seldom.
    gc.freeze()
    gc.set_threshold(50_000)
    gc.enable()  # the start script turns it off for the imports
    asyncio.run(_serve(server, served))


async def _serve(server: "Server", served: "Gateway") -> None:
    served.current()  # what there are of feature flags is fetched while the server starts
    await server.serve()


def _flushing(tracer: "Tracer") -> "type[Server]":
    """A server that exports what is left of traces before it ends.

    The Web Adapter is an extension, so Lambda sends SIGTERM before it ends an environment, and waits for 300 ms.
    https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html#runtimes-lifecycle-shutdown
    """
    from uvicorn.server import Server

    class Flushing(Server):
        async def shutdown(self, sockets: "list[socket] | None" = None) -> None:
            await super().shutdown(sockets)
            await tracer.flush()

    return Flushing


def _only_with(secret: str, application: Application) -> Any:
    """Answer 403 to requests without the secret."""
    name, right = environment.INVOKER_HEADER.encode(), secret.encode()

    async def checked(scope: Any, receive: Any, send: Any) -> None:
        if hmac.compare_digest(dict(scope["headers"]).get(name, b""), right):
            await application(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 403, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})

    return checked


if __name__ == "__main__":
    main()
