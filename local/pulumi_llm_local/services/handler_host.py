"""Runs a function that is a Python handler: ``python handler_host.py MODULE.HANDLER PORT``, an event a POST.

Answers 200 with the handler's result as JSON, or 500 with ``{"errorType", "errorMessage"}``, as Lambda's invocations end. One
event at a time, as in one of Lambda's environments. The headers ``x-request-id`` and ``x-deadline-ms`` (milliseconds since the
epoch) are the invocation's. Standard library only, for it runs in the functions' own interpreter.
"""

import hmac
import importlib
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any


def main() -> None:
    module, _, name = sys.argv[1].rpartition(".")
    sys.path.insert(0, ".")
    handler: Callable[[Any, object], Any] = getattr(importlib.import_module(module), name)

    class Context:
        """Lambda's context object, as far as a function here reads it.

        https://docs.aws.amazon.com/lambda/latest/dg/python-context.html
        """

        def __init__(self, request_id: str, deadline_ms: int) -> None:
            self.aws_request_id = request_id
            self._deadline_ms = deadline_ms

        def get_remaining_time_in_millis(self) -> int:
            return max(0, self._deadline_ms - int(time.time() * 1000))

    class Host(BaseHTTPRequestHandler):
        # HTTP/1.0: a connection an event, for one that is kept open would keep the others waiting.
        def do_POST(self) -> None:
            # Whoever else reaches this port could make up an event of API Gateway's.
            if not hmac.compare_digest(
                self.headers.get("x-invoker-secret", "").encode(), os.environ["INVOKER_SECRET"].encode()
            ):
                self.send_error(403)
                return
            event = json.loads(self.rfile.read(int(self.headers["content-length"])))
            os.environ["_X_AMZN_TRACE_ID"] = self.headers.get("x-amzn-trace-id", "")
            context = Context(self.headers["x-request-id"], int(self.headers["x-deadline-ms"]))
            try:
                status, answer = 200, json.dumps(handler(event, context)).encode()
            except Exception as error:
                if str(error) != "Unauthorized":  # the one exception that is an authorizer's ordinary answer
                    traceback.print_exc()
                status = 500
                answer = json.dumps({"errorType": type(error).__name__, "errorMessage": str(error)}).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: the log is the function's own."""

    class Server(HTTPServer):
        request_queue_size = 1024

    Server(("127.0.0.1", int(sys.argv[2])), Host).serve_forever()


if __name__ == "__main__":
    main()
