"""The table of API keys, played by a DynamoDB on the wire."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from llm_gateway.identity.caller import Caller, key_hash
from llm_gateway.identity.keys import item

KEY = "sk-a-key-of-the-test"
CALLER = Caller("acme", "ci", ("full", "r1"))


class Table(ThreadingHTTPServer):
    """DynamoDB with one table, or an answer that is to come instead. (A loop of its own runs in the handler's thread.)"""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.items = {key_hash(KEY): item(key_hash(KEY), CALLER)}
        self.instead: tuple[int, bytes] | None = None
        self.requests: list[tuple[dict[str, str], Any]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Table
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.requests.append(({name.lower(): value for name, value in self.headers.items()}, body))
        found = self.server.items.get(body["Key"]["key_hash"]["S"])
        status, content = self.server.instead or (200, json.dumps({"Item": found} if found else {}).encode())
        head = (
            f"HTTP/1.1 {status} Whatever\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: {len(content)}\r\n\r\n"
        )
        self.wfile.write(head.encode() + content)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def serving() -> Iterator[Table]:
    """Serve a table with `KEY`, whose caller is `CALLER`."""
    with Table() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()
