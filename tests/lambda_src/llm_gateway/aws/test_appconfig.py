"""The calls of AppConfig's data plane, against an AppConfig that checks tokens and signatures."""

import contextlib

import pytest
from aiohttp import web

from llm_gateway.aws.appconfig import AppConfig, AppConfigError, Received
from llm_gateway.http.client import HttpClient, HttpError
from support import websocket_api
from support.appconfig import APPLICATION, ENVIRONMENT, PROFILE, Deployed
from support.clock import Now
from support.web_app import listening


def client_of(http: HttpClient, url: str, **more: str) -> AppConfig:
    aws = websocket_api.aws(http, AWS_ENDPOINT_URL_APPCONFIGDATA=url, **more)
    return AppConfig(aws, APPLICATION, ENVIRONMENT, PROFILE, interval=60)


@pytest.mark.assumes("appconfig-data")
async def test_a_session_gets_each_version_once(http: HttpClient) -> None:
    now = Now()
    async with Deployed(clock=now).serve() as appconfig:
        appconfig.put({}, label="first")
        client = client_of(http, appconfig.url)
        assert await client.latest() == Received(b"{}", "first", 60.0)
        now.seconds += 60
        assert await client.latest() == Received(b"", "", 60.0)
        appconfig.put({"service": {}})
        now.seconds += 60
        assert await client.latest() == Received(b'{"service": {}}', "", 60.0)


@pytest.mark.parametrize("hours", [1, 25], ids=["too early by a frozen clock", "a token of yesterday"])
async def test_a_token_that_is_refused_begins_a_new_session(http: HttpClient, hours: int) -> None:
    now = Now()
    async with Deployed(clock=now).serve() as appconfig:
        appconfig.put({})
        client = client_of(http, appconfig.url)
        await client.latest()
        now.seconds += 3_600 * hours if hours > 1 else 1
        assert (await client.latest()).content == b"{}"


async def test_the_interval_is_what_appconfig_says(http: HttpClient) -> None:
    async with Deployed(most_seconds=15).serve() as appconfig:
        appconfig.put({})
        assert (await client_of(http, appconfig.url).latest()).interval == 15.0


async def test_nothing_is_deployed(http: HttpClient) -> None:
    async with Deployed().serve() as appconfig:
        with pytest.raises(AppConfigError, match=r"^ResourceNotFoundException \(404\)$"):
            await client_of(http, appconfig.url).latest()


async def test_a_signature_that_is_refused(http: HttpClient) -> None:
    async with Deployed().serve() as appconfig:
        with pytest.raises(AppConfigError, match=r"\(403\)$"):
            await client_of(http, appconfig.url, AWS_SECRET_ACCESS_KEY="another").latest()


# What AppConfig, or who stands in its place, answers to the beginning of a session -> the error.
ANSWERS: dict[str, tuple[web.Response, str]] = {
    "a failure": (web.Response(status=500, text="token SECRET"), "an error (500)"),
    "throttled": (
        web.Response(status=429, headers={"x-amzn-errortype": "ThrottlingException:http://internal.amazon.com/"}),
        "ThrottlingException (429)",
    ),
    "no JSON": (web.Response(status=201, text="<html>SECRET"), "a session without a token (201)"),
    "no token": (web.json_response({"Token": "SECRET"}, status=201), "a session without a token (201)"),
}


@pytest.mark.parametrize("name", ANSWERS)
async def test_a_wrong_answer_is_told_without_its_words(http: HttpClient, name: str) -> None:
    response, expected = ANSWERS[name]

    async def handle(_: web.Request) -> web.Response:
        return web.Response(status=response.status, headers=response.headers, body=response.body)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    async with listening(app) as url:
        with pytest.raises(AppConfigError) as raised:
            await client_of(http, url).latest()
    assert str(raised.value) == expected


async def test_nobody_listens(http: HttpClient) -> None:
    with contextlib.suppress(AppConfigError), pytest.raises(HttpError):
        await client_of(http, "http://127.0.0.1:9").latest()
