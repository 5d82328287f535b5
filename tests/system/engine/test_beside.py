"""A service beside what there is: routes of the user's own on its API, and the service on an API of the user's own."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pulumi_llm_local.aws_types.apigateway import STAGE
from pulumi_llm_local.engine.stack import Stack
from system.engine.conftest import names, program, succeeded

OWN_ROUTES = """\
import pulumi, pulumi_aws as aws, pulumi_llm

config = pulumi.Config()
role = aws.iam.Role("role", assume_role_policy='{"Version": "2012-10-17", "Statement": []}')
code = pulumi.FileArchive(".")
orders = aws.lambda_.Function(
    "orders", role=role.arn, handler="index.handler", runtime="python3.13", code=code, memory_size=config.require_int("memory")
)
routes = [
    {"method": "GET", "path": f"/orders/{{{config.get('id') or 'id'}}}", "function_arn": orders.arn},
    {"method": "ANY", "path": "/files/{proxy+}", "url": config.require("url")},
]
models = [{"name": "echo", "model": "mock"}]
chat = pulumi_llm.ServerlessBedrockApi("chat", {"models": models, "routes": routes, "access_logs": False})
pulumi.export("url", chat.url)
"""

OWN_API = """\
import pulumi, pulumi_aws as aws, pulumi_llm

config = pulumi.Config()
api = aws.apigateway.RestApi("api", api_key_source="AUTHORIZER")
method = aws.apigateway.Method(
    "method", rest_api=api.id, resource_id=api.root_resource_id, http_method="GET", authorization="AWS_IAM"
)
integration = aws.apigateway.Integration(
    "integration", rest_api=api.id, resource_id=api.root_resource_id, http_method=method.http_method,
    type=config.require("type"), integration_http_method="GET", uri=config.require("url"),
)
chat = pulumi_llm.ServerlessBedrockApi("chat", {
    "models": [{"name": "echo", "model": "mock"}],
    "access_logs": False,
    "deletion_protection": False,
    "existing_api": {
        "rest_api_id": api.id,
        "root_resource_id": api.root_resource_id,
        "execution_arn": api.execution_arn,
        "path_prefix": "/llm",
        "stage_name": "llm",
        "redeploy_on": {"uri": integration.uri, "type": integration.type},
    },
})
pulumi.export("url", chat.url)
"""


def served(stack: Stack) -> Mapping[str, Any]:
    """The routes that the live stage serves."""
    (stage,) = stack.cloud.of_type(STAGE)
    snapshot = stack.cloud.served(stage)
    assert snapshot is not None
    return snapshot["routes"]


def test_own_routes_are_served_and_a_change_of_them_is(tmp_path: Path) -> None:
    with program(tmp_path, OWN_ROUTES, url="https://a.example.com", memory="128") as stack:
        succeeded(stack.up())
        assert {"GET /orders/{id}", "OPTIONS /orders/{id}", "ANY /files/{proxy+}", "POST /chat"} <= set(served(stack))
        stack.configure({"url": "https://b.example.com/{proxy}"})
        assert "chat-deployment" in names(succeeded(stack.up()), "replace")
        (integration,) = served(stack)["ANY /files/{proxy+}"]["integration"]
        assert integration["uri"] == "https://b.example.com/{proxy}"
        assert integration["requestParameters"] == {"integration.request.path.proxy": "method.request.path.proxy"}
        stack.configure({"url": "https://b.example.com/{proxy}", "memory": "256"})  # of the function, not of the route
        assert names(succeeded(stack.up()), "replace", "create", "delete") == set()
        # A parameter below a resource is renamed in place: AWS refuses a second one beside it.
        stack.configure({"url": "https://b.example.com/{proxy}", "memory": "256", "id": "order"})
        assert names(succeeded(stack.up()), "create", "delete") == set()
        assert {"GET /orders/{order}", "OPTIONS /orders/{order}"} <= set(served(stack))


def test_the_service_is_put_on_an_api_that_exists(tmp_path: Path) -> None:
    with program(tmp_path, OWN_API, url="https://a.example.com", type="HTTP_PROXY") as stack:
        succeeded(stack.up())
        assert {"GET /", "POST /llm/chat", "OPTIONS /llm/chat"} <= set(served(stack))
        assert stack.run("stack", "output", "url").output.strip().endswith("/llm/llm")
        # A change of the user's own method reaches the service's stage, whether it is changed or replaced.
        for change in ({"url": "https://b.example.com"}, {"type": "HTTP"}):
            stack.configure(change)
            assert "chat-deployment" in names(succeeded(stack.up()), "replace")
            (integration,) = served(stack)["GET /"]["integration"]
            assert change.items() <= {"url": integration["uri"], "type": integration["type"]}.items()
        succeeded(stack.destroy())
