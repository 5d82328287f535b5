"""The signatures that the local Bedrock refuses."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore import UNSIGNED
from botocore.exceptions import ClientError

from support.local_bedrock import HELLO, client, running


def edited(old: str, new: str) -> Callable[..., None]:
    """What a request becomes after it was signed."""

    def edit(request: Any, **_: Any) -> None:
        request.body = request.body.replace(old.encode(), new.encode())
        authorization = request.headers["Authorization"]
        authorization = authorization.decode() if isinstance(authorization, bytes) else authorization
        request.headers["Authorization"] = authorization.replace(old, new)

    return edit


@pytest.mark.parametrize(
    ("arguments", "edit", "clock", "code"),
    [
        ({"signature_version": UNSIGNED}, None, 0, "MissingAuthenticationTokenException"),
        ({"key": "AKIAOTHER"}, None, 0, "UnrecognizedClientException"),
        ({"secret": "wrong"}, None, 0, "InvalidSignatureException"),
        ({"region": "eu-west-1"}, None, 0, "InvalidSignatureException"),
        ({}, edited("who is", "who's "), 0, "InvalidSignatureException"),
        ({}, edited("/bedrock/", "/s3/"), 0, "InvalidSignatureException"),
        ({}, edited("host;", ""), 0, "InvalidSignatureException"),
        ({}, edited("SignedHeaders=", "Headers="), 0, "IncompleteSignatureException"),
        ({}, None, -16, "InvalidSignatureException"),
        ({}, None, +16, "InvalidSignatureException"),
        ({}, None, -14, None),
    ],
)
async def test_signatures(
    monkeypatch: pytest.MonkeyPatch, arguments: Any, edit: Callable[..., None] | None, clock: int, code: str | None
) -> None:
    now = datetime.now(UTC) + timedelta(minutes=clock)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda **_: now)
    async with running() as url:
        boto = client(url, **arguments)
        if edit:
            boto.meta.events.register("before-send.bedrock-runtime", edit)
        try:
            await asyncio.to_thread(lambda: boto.converse(modelId="test.all-v1:0", messages=HELLO))
        except ClientError as error:
            assert error.response["Error"]["Code"] == code
            assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 403
        else:
            assert code is None
