"""An upstream that answers each request with the next of its replies."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from wire.http import Fake, Peer


@dataclass(frozen=True)
class Reply:
    """What an upstream sends for one request, and what it does then.

    `keeps`: the response is complete and the connection stays open. `closes`: it closes the connection. `waits`: it sends
    nothing more until the gateway closes the connection.
    """

    data: bytes
    then: Literal["keeps", "closes", "waits"] = "keeps"


class ReplyingUpstream(Fake):
    """An upstream that answers its n-th request with its n-th reply, and all further ones with the last.

    A reply is a function of whether the request asks for a stream.
    """

    def __init__(self, *replies: Callable[[bool], Reply]) -> None:
        super().__init__(self._serve)
        self.replies = list(replies)
        self.connections = 0
        self._open = 0
        self.all_closed = asyncio.Event()

    @property
    def calls(self) -> int:
        return len(self.paths)

    async def _serve(self, peer: Peer) -> None:
        self.connections += 1
        self._open += 1
        self.all_closed.clear()
        try:
            while True:
                body = await peer.request()
                stream = bool(body.get("stream")) or "stream" in self.paths[-1]
                reply = self.replies[min(len(self.paths), len(self.replies)) - 1](stream)
                await peer.send(reply.data)
                if reply.then == "closes":
                    return
                if reply.then == "waits":
                    return await peer.gone()
        finally:
            self._open -= 1
            if not self._open:
                self.all_closed.set()
