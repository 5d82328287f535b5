from collections.abc import Mapping, MutableMapping
from typing import Any

class AWSRequest:
    method: str
    url: str
    data: bytes
    headers: MutableMapping[str, str]
    context: dict[str, Any]
    def __init__(
        self,
        method: str | None = ...,
        url: str | None = ...,
        headers: Mapping[str, str] | None = ...,
        data: bytes | None = ...,
    ) -> None: ...
