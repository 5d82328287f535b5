"""moto's server for the programs of this machine alone: ``python -m pulumi_llm_local.services.moto_server PORT SHARE``.

SHARE (0 to 1) of DynamoDB's calls that read or write items are throttled.

moto checks no signature and lets every page read its answers, so a page in the user's browser could read and change the tables.
"""

import json
import os
import random
import sys
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING

from pulumi_llm_local.services.loopback import is_loopback
from pulumi_llm_local.services.message_moves import with_message_moves

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment
    from werkzeug.serving import BaseWSGIServer

# What the run names as its key in its own calls.
OWN_KEY = "Credential=local/"
# How many iterators of streams are kept.
_MOST_ITERATORS = 1000
# The operations that use a table's throughput.
_OF_ITEMS = tuple(
    f"DynamoDB_20120810.{name}"
    for name in (
        "GetItem",
        "PutItem",
        "UpdateItem",
        "DeleteItem",
        "Query",
        "Scan",
        "BatchGetItem",
        "BatchWriteItem",
        "Transact",
    )
)


def guarded(app: "WSGIApplication") -> "WSGIApplication":
    """Refuse what comes from a page: SDKs send no Origin, and the address that they are given."""

    def answer(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if "HTTP_ORIGIN" in environ or not is_loopback(environ.get("HTTP_HOST")):
            start_response("403 Forbidden", [("content-type", "text/plain")])
            return [b"only programs of this machine may call"]
        return app(environ, start_response)

    return answer


def atomic(app: "WSGIApplication") -> "WSGIApplication":
    """Serve the calls of DynamoDB one after the other: moto checks a condition, then writes, and another may come in between.

    "Individual write operations such as UpdateItem are atomic and always operate on the most recent version of the item,
    regardless of concurrency."
    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/BestPractices_ImplementingVersionControl.html
    """
    writing = threading.Lock()

    def answer(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if not environ.get("HTTP_X_AMZ_TARGET", "").startswith("DynamoDB_"):
            return app(environ, start_response)
        with writing:
            return list(app(environ, start_response))

    return answer


def throttled(app: "WSGIApplication", share: float) -> "WSGIApplication":
    """Throttle a share of the calls of items, at random, as DynamoDB does where a partition has no room for more; not those of
    the run itself, which fills the tables.
    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
    """
    chance = random.Random(0)  # noqa: S311

    def answer(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        of_run = OWN_KEY in environ.get("HTTP_AUTHORIZATION", "")
        if of_run or not environ.get("HTTP_X_AMZ_TARGET", "").startswith(_OF_ITEMS) or chance.random() >= share:
            return app(environ, start_response)
        start_response("400 Bad Request", [("content-type", "application/x-amz-json-1.0")])
        name = "com.amazonaws.dynamodb.v20120810#ThrottlingException"
        return [json.dumps({"__type": name, "message": "Throughput exceeds the current capacity (injected fault)."}).encode()]

    return answer


def bounded(app: "WSGIApplication") -> "WSGIApplication":
    """Forget the oldest iterators of DynamoDB's streams: moto keeps one for every call of GetRecords, which a pipe repeats all
    the time. "A shard iterator expires 15 minutes after it is retrieved."
    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_GetShardIterator.html
    """

    def answer(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        answered = app(environ, start_response)
        if environ.get("HTTP_X_AMZ_TARGET", "").startswith("DynamoDBStreams_"):
            from moto.dynamodbstreams.models import (  # pyright: ignore[reportMissingTypeStubs]
                dynamodbstreams_backends,
            )

            for account in dynamodbstreams_backends.values():
                for backend in account.values():
                    for name in list(backend.shard_iterators)[:-_MOST_ITERATORS]:
                        backend.shard_iterators.pop(name, None)
        return answered

    return answer


def server(port: int, share: float = 0) -> "BaseWSGIServer":
    """Return a server on a port of 127.0.0.1; 0 for any. `share` of DynamoDB's calls are throttled."""
    from moto.moto_server.werkzeug_app import (  # pyright: ignore[reportMissingTypeStubs]
        DomainDispatcherApplication,
        MotoRequestHandler,
        create_backend_app,
    )
    from werkzeug.serving import make_server

    app = with_message_moves(bounded(atomic(DomainDispatcherApplication(create_backend_app))))
    app = guarded(throttled(app, share) if share else app)
    return make_server("127.0.0.1", port, app, threaded=True, request_handler=MotoRequestHandler)


def main(port: int, share: float) -> None:
    """Serve on a port of 127.0.0.1; `share` of DynamoDB's calls are throttled."""
    os.environ["MOTO_DISABLE_GLOBAL_CORS"] = "true"  # read when moto is imported
    os.environ.setdefault("MOTO_PORT", str(port))
    server(port, share).serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
