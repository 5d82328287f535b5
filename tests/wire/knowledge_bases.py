"""A knowledge base on the wire: the local run's, or one that fails."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from pulumi_llm_local.upstreams.bedrock.errors import BedrockError
from pulumi_llm_local.upstreams.bedrock.knowledge_bases import DataSource, LocalKnowledgeBase, ingest, retrieve
from wire.http import Fake, Peer, response

ID = "KB12345678"
SOURCE = "DS12345678"
BUCKET = "documents"


def objects(documents: Mapping[str, tuple[str, Mapping[str, Any] | None]]) -> dict[str, bytes]:
    """The objects of a bucket: each document's text, and the file with its metadata, if any."""
    found: dict[str, bytes] = {}
    for key, (text, metadata) in documents.items():
        found[key] = text.encode()
        if metadata is not None:
            found[f"{key}.metadata.json"] = json.dumps({"metadataAttributes": metadata}).encode()
    return found


def knowledge_base(documents: Mapping[str, tuple[str, Mapping[str, Any] | None]]) -> LocalKnowledgeBase:
    base = LocalKnowledgeBase({SOURCE: DataSource(BUCKET)})
    ingest(base, SOURCE, objects(documents))
    return base


class KnowledgeBaseUpstream(Fake):
    """Retrieve over these documents. `replies` are what its first requests are answered with instead, the last one for good."""

    def __init__(
        self, documents: Mapping[str, tuple[str, Mapping[str, Any] | None]], *replies: bytes | Callable[[Any], bytes]
    ) -> None:
        super().__init__(self._serve)
        self.base = knowledge_base(documents)
        self._replies = list(replies)

    async def _serve(self, peer: Peer) -> None:
        while True:
            body = await peer.request()
            if self._replies:
                reply = self._replies.pop(0) if len(self._replies) > 1 else self._replies[0]
                await peer.send(reply if isinstance(reply, bytes) else reply(body))
                continue
            try:
                await peer.send(response(200, retrieve(self.base, json.dumps(body).encode())))
            except BedrockError as error:
                await peer.send(response(error.status, {"message": error.message}, x_amzn_ErrorType=error.code))


def found(*texts: str, tenant: str = "*", token: str = "") -> bytes:
    """An answer with these passages."""
    results = [
        {
            "content": {"text": text, "type": "TEXT"},
            "location": {"type": "S3", "s3Location": {"uri": f"s3://{BUCKET}/{number}.txt"}},
            "metadata": {"tenant": tenant},
            "score": 0.5,
        }
        for number, text in enumerate(texts)
    ]
    return response(200, {"retrievalResults": results, **({"nextToken": token} if token else {})})


def refusal(status: int, name: str, message: str = "no") -> bytes:
    return response(status, {"message": message}, x_amzn_ErrorType=name)
