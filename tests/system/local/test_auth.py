"""Who may call, and what a function does wrong, over the local run: what AWS answers, in the service's shape."""

import asyncio
import email.utils
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest
from aiohttp import web
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from lambda_src.llm_gateway.identity.test_jwt import b64, jwk
from system.local.conftest import LocalStack, local_stack

KEY, OTHER = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))


@contextmanager
def issuer() -> Iterator[str]:
    """An OpenID Connect issuer on loopback, in a thread of its own."""
    loop = asyncio.new_event_loop()
    app = web.Application()
    runner = web.AppRunner(app)

    async def discovery(request: web.Request) -> web.Response:
        url = f"http://{request.host}"
        return web.json_response({"issuer": url, "jwks_uri": f"{url}/keys"})

    async def keys(_: web.Request) -> web.Response:
        return web.json_response({"keys": [jwk(KEY, "one")]})

    async def serve() -> str:
        app.router.add_get("/.well-known/openid-configuration", discovery)
        app.router.add_get("/keys", keys)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{runner.addresses[0][1]}"

    url = loop.run_until_complete(serve())
    thread = Thread(target=loop.run_forever)
    thread.start()
    try:
        yield url
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.run_until_complete(runner.cleanup())
        loop.close()


def token(url: str, key: rsa.RSAPrivateKey = KEY, **claims: Any) -> str:
    body = {"iss": url, "aud": "chat", "sub": "me", "exp": time.time() + 600, **claims}
    signed = f"{b64(json.dumps({'alg': 'RS256', 'kid': 'one'}).encode())}.{b64(json.dumps(body).encode())}"
    return f"{signed}.{b64(key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def refused(answer: httpx.Response) -> tuple[int, str]:
    error = answer.json()["error"]
    assert set(error) - {"param"} == {"type", "code", "message", "request_id"}
    assert answer.headers["access-control-allow-origin"] == "*"
    return answer.status_code, error["code"]


@pytest.mark.assumes("rs256")
def test_tokens_of_an_issuer() -> None:
    with issuer() as url:
        jwt = json.dumps({"issuer": url, "audiences": ["chat"], "models_claim": "models"})
        with local_stack("--model-delay", "0", "--config", "api.auth=jwt", "--config", f"api.jwt={jwt}") as stack:

            def call(credentials: str | None, **body: Any) -> httpx.Response:
                headers = {"authorization": f"Bearer {credentials}"} if credentials else {}
                return httpx.post(f"{stack.url}/chat", json={"message": "Hi", **body}, headers=headers, timeout=60)

            good = call(token(url, models=["gpt-oss-20b"]))
            assert (good.status_code, good.json().get("model")) == (200, "gpt-oss-20b")
            assert refused(call(token(url, models=["gpt-oss-20b"]), model="deepseek-v3-2")) == (403, "model_not_allowed")
            for wrong in (
                None,
                "no token",
                token(url, models="gpt-oss-20b", exp=time.time() - 120),
                token(url, OTHER, models="gpt-oss-20b"),
                token("https://foreign.example.com", models="gpt-oss-20b"),
                token(url, models="gpt-oss-20b", aud="another"),
            ):
                assert refused(call(wrong)) == (401, "invalid_api_key")
            assert stack.outputs["api_key_value"] == ""


@pytest.mark.assumes("iam-responses")
@pytest.mark.assumes("iam-identity")
def test_aws_signatures() -> None:
    with local_stack(
        "--model-delay", "0", "--config", "api.auth=iam", "--config", "websocket.enabled=false", json_output=False
    ) as stack:
        assert stack.process.stdout is not None
        printed: list[str] = []
        while not printed or "Ctrl-C" not in printed[-1]:
            printed.append(stack.process.stdout.readline())
        url = next(line.split()[-1] for line in printed if "is ready" in line)
        pairs = next(line for line in printed if line.strip().startswith("bedrock")).split()[1:]
        given = dict(pair.split("=", 1) for pair in pairs)
        key = Credentials(given["AWS_ACCESS_KEY_ID"], given["AWS_SECRET_ACCESS_KEY"])

        def call(credentials: Credentials | None, service: str = "execute-api", path: str = "/chat") -> httpx.Response:
            request = AWSRequest(method="POST", url=url + path, data=b'{"message": "Hi"}')
            if credentials:
                SigV4Auth(credentials, service, "us-east-1").add_auth(request)
            return httpx.post(request.url, content=request.data, headers=dict(request.headers), timeout=60)

        assert call(key).json()["stop_reason"] == "end_turn"
        assert refused(call(None)) == (403, "missing_signature")
        assert refused(call(Credentials("AKIAOTHER", "secret"))) == (403, "invalid_signature")
        assert refused(call(Credentials(given["AWS_ACCESS_KEY_ID"], "wrong"))) == (403, "invalid_signature")
        assert refused(call(key, service="bedrock")) == (403, "invalid_signature")
        assert refused(call(key, path="/nothing")) == (403, "missing_signature")
        assert httpx.get(f"{url}/health", timeout=60).status_code == 200


def test_an_authorizer_with_a_cache_takes_only_the_header_that_the_cache_goes_by() -> None:
    with local_stack("--model-delay", "0", "--config", "api.authorizer_cache_seconds=60") as stack:
        body = {"message": "Hi"}
        for _ in range(2):
            assert httpx.post(
                f"{stack.url}/chat", json=body, headers={"authorization": f"Bearer {stack.key}"}, timeout=60
            ).is_success
        assert refused(stack.post("/chat", body)) == (401, "invalid_api_key")
        # A key beside such a header lets nobody in, now or from the cache.
        for other in ("Basic Og==", "Bearer", stack.key, b"\xc2\xa0"):
            for key in ({"x-api-key": stack.key}, {}):
                response = httpx.post(f"{stack.url}/chat", json=body, headers={"authorization": other, **key}, timeout=60)
                assert refused(response) == (401, "invalid_api_key"), other
        assert refused(httpx.post(f"{stack.url}/chat", json=body, headers={"authorization": "Bearer x"}, timeout=60)) == (
            401,
            "invalid_api_key",
        )


def test_a_custom_domain_has_the_api_below_its_base_path() -> None:
    domain = json.dumps({"name": "chat.example.com", "existing": True, "base_path": "llm"})
    with local_stack("--model-delay", "0", "--config", f"api.domain={domain}") as stack:
        root = stack.url.removesuffix("/api")

        def post(path: str) -> httpx.Response:
            headers = {"host": "chat.example.com", "x-api-key": stack.key}
            return httpx.post(root + path, json={"message": "Hi"}, headers=headers, timeout=60)

        assert post("/llm/chat").is_success
        assert refused(post("/llm/nothing")) == (404, "unknown_route")
        assert post("/chat").status_code == 403
        assert stack.post("/chat", {"message": "Hi"}).is_success


OWN_ROUTES = """\
import pulumi, pulumi_aws as aws, pulumi_llm

code = pulumi.FileArchive("code")
role = "arn:aws:iam::123456789012:role/orders"
orders = aws.lambda_.Function("orders", role=role, handler="orders.handler", runtime="python3.13", code=code)
routes = [
    {"method": "GET", "path": "/orders/{id}", "function_arn": orders.arn},
    {"method": "ANY", "path": "/broken", "function_arn": orders.arn, "authorized": False},
    {"method": "GET", "path": "/models", "url": "http://127.0.0.1:1/never".replace("http:", "https:"), "authorized": False},
]
models = [{"name": "echo", "model": "mock"}]
api = pulumi_llm.ServerlessBedrockApi("mine", {"models": models, "routes": routes})
pulumi.export("api_gateway_url", api.url)
pulumi.export("api_key_value", api.default_api_key)
"""
OWN_HANDLER = """\
import json

def handler(event, context):
    if event["resource"] == "/broken":
        return {"body": "no status"}
    body = {"id": event["pathParameters"]["id"], "tenant": event["requestContext"]["authorizer"]["tenant"]}
    return {"statusCode": 200, "headers": {"x-mine": "yes"}, "body": json.dumps(body)}
"""


def test_routes_of_ones_own_answer_beside_the_services(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "orders.py").write_text(OWN_HANDLER)
    (tmp_path / "Pulumi.yaml").write_text("name: other\nruntime: python\n")
    (tmp_path / "Pulumi.dev.yaml").write_text("config:\n  aws:region: us-east-1\n")
    (tmp_path / "__main__.py").write_text(OWN_ROUTES)
    with local_stack(directory=tmp_path) as stack:
        assert refused(httpx.get(f"{stack.url}/orders/7", timeout=60)) == (401, "invalid_api_key")
        answer = httpx.get(f"{stack.url}/orders/7", headers={"x-api-key": stack.key}, timeout=60)
        assert (answer.status_code, answer.json()) == (200, {"id": "7", "tenant": "default"})
        assert answer.headers["x-mine"] == "yes"
        assert httpx.options(f"{stack.url}/orders/7", timeout=60).headers["access-control-allow-methods"] == "GET,OPTIONS"
        assert refused(httpx.put(f"{stack.url}/broken", timeout=60)) == (502, "function_failed")
        assert refused(httpx.get(f"{stack.url}/models", timeout=60)) == (502, "function_failed")
        assert stack.post("/chat", {"message": "Hi"}).is_success


@pytest.mark.assumes("quota-reset")
def test_keys_have_limits_of_their_own_until_they_are_disabled() -> None:
    keys = json.dumps([{"name": "small", "daily_quota": 1}, {"name": "large"}, {"name": "old", "enabled": False}])
    with local_stack("--model-delay", "0", "--config", f"api.keys={keys}") as stack:
        assert stack.post("/chat", {"message": "x"}).is_success
        used_up = stack.post("/chat", {"message": "x"})
        assert refused(used_up) == (429, "quota_exceeded")
        reset = email.utils.parsedate_to_datetime(used_up.headers["retry-after"])
        asked = email.utils.parsedate_to_datetime(used_up.headers["date"])
        assert 0 < (reset - asked).total_seconds() <= 86_400 and reset.timestamp() % 86_400 == 0
    with local_stack("--model-delay", "0", "--config", f"api.keys={json.dumps(list(reversed(json.loads(keys))))}") as stack:
        assert refused(stack.post("/chat", {"message": "x"})) == (401, "invalid_api_key")


@pytest.mark.assumes("rejected-invocation")
def test_beyond_the_reserved_concurrency_a_call_is_told_to_come_back() -> None:
    limits = ("api.reserved_concurrency=1", "api.throttle.burst_limit=50")
    with local_stack("--model-delay", "0,0.05", *(part for limit in limits for part in ("--config", limit))) as stack:
        body = {"message": "Hello", "max_tokens": 60}
        with httpx.Client(timeout=60, headers={"x-api-key": stack.key}) as client:
            # The stream has begun, and holds the one execution until its end.
            with client.stream("POST", f"{stack.url}/chat/stream", json=body) as first:
                assert first.status_code == 200
                second = stack.post("/chat", body)
                assert refused(second) == (503, "overloaded")
                assert int(second.headers["retry-after"]) >= 1
                assert second.headers["x-request-id"] == second.json()["error"]["request_id"]
                events = first.read().decode()
            assert "event: done" in events
            assert stack.post("/chat", body).is_success

            # Each method has a limit of its own, and those for anyone a small one.
            with httpx.Client(timeout=60) as anyone:
                codes = [anyone.get(f"{stack.url}/health").status_code for _ in range(100)]
            assert codes[:5] == [200] * 5
            assert set(codes) == {200, 429}
            assert httpx.get(f"{stack.url}/openapi.json", timeout=60).status_code == 200
            assert stack.post("/chat", body).is_success


FAILING = {
    "it hangs": (
        "import http.server,time\n"
        "class H(http.server.BaseHTTPRequestHandler):\n"
        "    def do_POST(self): time.sleep(60)\n"
        "http.server.ThreadingHTTPServer(('127.0.0.1', PORT), H).serve_forever()\n"
    ),
    "it dies": (
        "import http.server,os\n"
        "class H(http.server.BaseHTTPRequestHandler):\n"
        "    def do_POST(self): os._exit(1)\n"
        "http.server.ThreadingHTTPServer(('127.0.0.1', PORT), H).serve_forever()\n"
    ),
    "it talks nonsense": (
        "import socketserver\n"
        "class H(socketserver.BaseRequestHandler):\n"
        "    def handle(self): self.request.recv(10); self.request.sendall(b'nonsense\\r\\n\\r\\n')\n"
        "socketserver.ThreadingTCPServer(('127.0.0.1', PORT), H).serve_forever()\n"
    ),
}


@pytest.fixture
def failing(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[LocalStack]:
    """Somebody's program whose function's code is not ours."""
    code = tmp_path / "code"
    code.mkdir()
    (code / "app.py").write_text(f"import os; PORT = int(os.environ['AWS_LWA_PORT'])\n{FAILING[request.param[0]]}")
    (code / "run.sh").write_text("#!/bin/sh\nexec python3 app.py\n")
    (code / "routes.json").write_text('{"aliases": []}')
    (tmp_path / "Pulumi.yaml").write_text("name: other\nruntime: python\n")
    (tmp_path / "Pulumi.dev.yaml").write_text("config:\n  aws:region: us-east-1\n")
    (tmp_path / "__main__.py").write_text(
        "import pulumi, pulumi_llm\n"
        f"changes = {{'function': {{'code': pulumi.FileArchive({str(code)!r}), 'timeout': 1, **{request.param[1]!r}}}, "
        f"'integration': {request.param[2]!r}}}\n"
        "api = pulumi_llm.ServerlessBedrockApi('mine', {'models': [{'name': 'echo', 'model': 'mock'}], 'auth': 'none', "
        "'customize': changes})\n"
        "pulumi.export('api_gateway_url', api.url)\n"
    )
    with local_stack(directory=tmp_path) as stack:
        yield stack


BUFFERED = {"response_transfer_mode": "BUFFERED"}
CASES = [
    (("it hangs", {}, {}), (502, "function_failed")),
    (("it hangs", {"timeout": 60}, {"timeout_milliseconds": 300}), (504, "function_timeout")),
    (("it dies", {}, {}), (502, "function_failed")),
    (("it talks nonsense", {}, {}), (502, "function_failed")),
    (("it dies", {}, BUFFERED), (502, "function_failed")),
]


@pytest.mark.parametrize(("failing", "answer"), CASES, ids=[f"{c[0][0]}, {c[0][2]}" for c in CASES], indirect=["failing"])
@pytest.mark.assumes("function-failure")
def test_a_function_that_fails(failing: LocalStack, answer: tuple[int, str]) -> None:
    for _ in range(2):  # and the next call is no different: it is started again
        assert refused(httpx.post(f"{failing.url}/chat", json={"message": "Hi"}, timeout=60)) == answer
