"""A call of a JSON API that is repeated while its failure may pass."""

import asyncio
import random
from collections.abc import Callable, Collection, Mapping

import msgspec

from llm_gateway.aws.client import Aws
from llm_gateway.errors import ErrorKind, GatewayError
from llm_gateway.http.client import HttpError

_HEADERS = (("content-type", "application/json"),)


class _Exception(msgspec.Struct):
    message: str = ""


async def post_repeated(
    aws: Aws,
    service: str,
    path: str,
    body: bytes,
    deadline: float,
    unavailable: ErrorKind,
    *,
    attempts: int,
    attempt_seconds: float,
    pause: Callable[[int, int], float],
    temporary: Collection[str],
) -> bytes:
    """Return the body of the answer 200.

    Args:
        deadline: A time of the running loop's clock.
        unavailable: The error that is raised where every attempt fails, or one cannot succeed later.
        pause: The most seconds before the next attempt, by the attempt's number from 0 and the status of its answer, which is 0
            where none has come. At least half of it is waited.
        temporary: The exceptions, besides those of the statuses 429 and 5xx, after which another attempt may succeed.
    """
    for attempt in range(attempts):
        is_last, status = attempt == attempts - 1, 0
        try:
            response = await aws.post(
                service,
                path,
                _HEADERS,
                body,
                response_timeout=attempt_seconds,
                read_timeout=attempt_seconds,
                deadline=deadline,
            )
            read = await response.read()
        except HttpError as error:
            if is_last:
                raise unavailable(detail=f"{type(error).__name__}: {error}") from error
        else:
            status = response.status
            if status == 200:
                return read
            failure = _failure(aws, unavailable, temporary, status, response.headers, read)
            if is_last or failure.lasts:
                raise failure
        await asyncio.sleep(pause(attempt, status) * (0.5 + random.random() / 2))  # noqa: S311  it only distributes load
    raise AssertionError("the last attempt returns or raises")


def _failure(
    aws: Aws, unavailable: ErrorKind, temporary: Collection[str], status: int, headers: Mapping[str, str], body: bytes
) -> GatewayError:
    name = headers.get("x-amzn-errortype", "").split(":")[0]
    try:
        message = msgspec.json.decode(body, type=_Exception).message
    except (msgspec.MsgspecError, UnicodeDecodeError):
        message = body[:200].decode(errors="replace")
    error = unavailable(detail=aws.redact(f"{name or status}: {message}"))
    if status < 500 and status != 429 and name not in temporary:  # no access, no such resource, a wrong request
        error.lasts, error.retry_after = True, None
    return error
