"""The page's stream past the REST API: CloudFront signs, the function's URL lets it in, the function checks the key."""

import hashlib
import json
import subprocess
from collections.abc import Iterator

import httpx
import pytest

from support.programs import PAGE
from system.local.conftest import COMMAND, LocalStack, events, local_stack

PROGRAM = f"""\
import pulumi, pulumi_llm

models = [{{"name": "fast", "model": "gpt-oss-20b"}}]
api = pulumi_llm.ServerlessBedrockApi("mine", {{"models": models, "function_url": True, "access_logs": False}})
own_url = {{"function_url": api.function_url_endpoint, "function_alias_arn": api.function_alias_arn}}
page = pulumi_llm.CdnFrontend("page", {{"folder": {str(PAGE)!r}, "api_url": api.url, **own_url}})
pulumi.export("api_gateway_url", api.url)
pulumi.export("api_key_value", api.default_api_key)
pulumi.export("function_url", api.function_url_endpoint)
pulumi.export("frontend_url", page.url)
"""
BODY = json.dumps({"message": "What is two and two?"}).encode()
HASH = hashlib.sha256(BODY).hexdigest()


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    folder = tmp_path_factory.mktemp("program")
    (folder / "Pulumi.yaml").write_text("name: other\nruntime: python\n")
    (folder / "Pulumi.dev.yaml").write_text("config:\n  aws:region: us-east-1\n")
    (folder / "__main__.py").write_text(PROGRAM)
    with local_stack("--model-delay", "0", directory=folder) as running:
        yield running


@pytest.mark.assumes("function-url")
def test_a_stream_through_the_cdn(stack: LocalStack) -> None:
    with httpx.Client(base_url=stack.outputs["frontend_url"], timeout=60) as cdn:
        assert cdn.get("/config.json").json()["stream_body_hash"] is True

        def post(path: str = "/api/chat/stream", **headers: str) -> httpx.Response:
            given = {name.replace("_", "-"): value for name, value in headers.items()}
            return cdn.post(path, content=BODY, headers={"content-type": "application/json", **given})

        answer = post(x_amz_content_sha256=HASH, x_api_key=stack.key)
        kinds = [kind for _, kind, _ in events(answer.text.split("\n"))]
        assert (answer.status_code, kinds[0], kinds[-1]) == (200, "start", "done")
        assert answer.headers["via"].endswith("(CloudFront)")
        # The function checks the key, and only where it stands in x-api-key.
        for headers in ({"x_api_key": "sk-wrong"}, {}, {"authorization": f"Bearer {stack.key}"}):
            refused = post(x_amz_content_sha256=HASH, **headers)
            assert (refused.status_code, refused.json()["error"]["type"]) == (401, "authentication_error")
        # Nobody is known by headers that only the adapter sets.
        context = json.dumps({"authorizer": {"tenant": "forged", "key": "forged", "models": '"all"'}})
        assert post(x_amz_content_sha256=HASH, x_amzn_request_context=context).status_code == 401
        # A client that does not send the body's hash, as SDKs do not.
        for headers in ({}, {"x_amz_content_sha256": "0" * 64}):
            unsigned = post(x_api_key=stack.key, **headers)
            assert (unsigned.status_code, unsigned.headers["x-amzn-errortype"]) == (403, "InvalidSignatureException")
        # Everything else goes to the REST API.
        assert post("/api/chat", x_api_key=stack.key).status_code == 200


def test_the_command_streams_through_the_cdn(stack: LocalStack) -> None:
    arguments = ["chat", "--endpoint", f"{stack.outputs['frontend_url']}/api", "--api-key", stack.key, "-m", "Two and two?"]
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done
    assert "“Two and two?”" in done.stdout


def test_nobody_but_the_cdn_may_call_the_url(stack: LocalStack) -> None:
    url = stack.outputs["function_url"]
    assert url.startswith("http://127.0.0.1:")
    headers = {"x-api-key": stack.key, "x-amz-content-sha256": HASH}
    refused = httpx.post(f"{url}chat/stream", content=BODY, headers=headers, timeout=60)
    assert (refused.status_code, refused.json()) == (403, {"Message": "Forbidden"})


def test_the_rest_api_still_streams(stack: LocalStack) -> None:
    answer = stack.post("/chat/stream", {"message": "Hello"})
    assert [kind for _, kind, _ in events(answer.text.split("\n"))][-1] == "done"
