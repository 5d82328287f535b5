"""The routes of the REST API: a streaming method for each operation, and preflight answers."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
from pulumi_aws import apigateway

from llm_gateway.operations import OPERATIONS, Operation
from pulumi_llm.api_edge.cors import Cors
from pulumi_llm.base.component import Component

# The wildcard does not cover Authorization. https://fetch.spec.whatwg.org/#cors-non-wildcard-request-header-name
_CORS_HEADERS = "authorization,*"

CHILDREN = {
    "validator": apigateway.RequestValidator,
    "body-model": apigateway.Model,
    "resource": apigateway.Resource,
    "method": apigateway.Method,
    "integration": apigateway.Integration,
    "cors-method": apigateway.Method,
    "cors-integration": apigateway.Integration,
    "cors-method-response": apigateway.MethodResponse,
    "cors-response": apigateway.IntegrationResponse,
}


def route_instances() -> Mapping[str, Sequence[str]]:
    """The names within the keys of which there are several children."""
    operations = [_slug(operation.id) for operation in OPERATIONS]
    paths = list(dict.fromkeys(operation.path for operation in OPERATIONS))
    parts = [path.split("/")[1:] for path in paths]
    resources = dict.fromkeys("/".join(part[:count]) for part in parts for count in range(1, len(part) + 1))
    return {
        "resource": [_slug(path) for path in resources],
        **dict.fromkeys(("method", "integration"), operations),
        **{key: [_slug(path) for path in paths] for key in CHILDREN if key.startswith("cors-")},
    }


@dataclass(frozen=True)
class Backend:
    """What answers the methods, and who may call them."""

    function_uri: pulumi.Output[str]
    """The invocation URI of the function."""
    timeout_seconds: int
    """How long a method waits for the function."""
    auth: str
    """How callers are authenticated."""
    authorizer: apigateway.Authorizer | None
    """The authorizer for `auth`, if it needs one."""
    cors: Cors
    """The origins from which browsers may call."""


def create_routes(component: Component, api: apigateway.RestApi, backend: Backend) -> list[pulumi.Resource]:
    """Make each operation a method of `api`; return all resources that a deployment freezes."""
    return _Routes(component, api, backend).create()


class _Routes:
    def __init__(self, component: Component, api: apigateway.RestApi, backend: Backend) -> None:
        self._component = component
        self._api = api
        self._backend = backend
        self._resources: dict[str, pulumi.Output[str]] = {"": api.root_resource_id}
        self._parts: list[pulumi.Resource] = []

    def create(self) -> list[pulumi.Resource]:
        component = self._component
        validator = apigateway.RequestValidator(
            component.child_name("validator"),
            rest_api=self._api.id,
            validate_request_body=True,
            validate_request_parameters=False,
            opts=component.child("validator"),
        )
        body = apigateway.Model(
            component.child_name("body-model"),
            rest_api=self._api.id,
            name="JsonObject",
            content_type="application/json",
            schema=json.dumps({"$schema": "http://json-schema.org/draft-04/schema#", "type": "object"}),
            # AWS deletes no model that a method names, so one that replaces it has to be there first, under another name.
            opts=component.child("body-model", delete_before_replace=False),
        )
        self._parts += [validator, body]
        for operation in OPERATIONS:
            self._method(operation, validator, body)
        for path in dict.fromkeys(operation.path for operation in OPERATIONS):
            self._preflight(path, [operation.method for operation in OPERATIONS if operation.path == path])
        return self._parts

    def _resource(self, path: str) -> pulumi.Output[str]:
        """Return the id of the resource of a path. The resource and its parents are made if they do not exist yet."""
        if path not in self._resources:
            parent, _, part = path.rpartition("/")
            made = apigateway.Resource(
                f"{self._component.child_name('resource')}-{_slug(path)}",
                rest_api=self._api.id,
                parent_id=self._resource(parent),
                path_part=part,
                opts=self._component.child("resource"),
            )
            self._parts.append(made)
            self._resources[path] = made.id
        return self._resources[path]

    def _method(self, operation: Operation, validator: apigateway.RequestValidator, body: apigateway.Model) -> None:
        component, backend, resource = self._component, self._backend, self._resource(operation.path)
        authorizer = backend.authorizer if operation.authorized else None
        authorization = "CUSTOM" if authorizer else "AWS_IAM" if backend.auth == "iam" and operation.authorized else "NONE"
        method = apigateway.Method(
            f"{component.child_name('method')}-{_slug(operation.id)}",
            rest_api=self._api.id,
            resource_id=resource,
            http_method=operation.method,
            authorization=authorization,
            authorizer_id=authorizer.id if authorizer else None,
            # With api_key_source AUTHORIZER, the usage plan counts the key that the authorizer returns.
            api_key_required=authorizer is not None and backend.auth == "api_key",
            request_validator_id=validator.id if operation.has_body else None,
            request_models={"application/json": body.name} if operation.has_body else None,
            opts=component.child("method"),
        )
        integration = apigateway.Integration(
            f"{component.child_name('integration')}-{_slug(operation.id)}",
            rest_api=self._api.id,
            resource_id=resource,
            http_method=method.http_method,
            type="AWS_PROXY",
            integration_http_method="POST",
            uri=backend.function_uri,
            response_transfer_mode="STREAM",
            timeout_milliseconds=backend.timeout_seconds * 1000,
            opts=component.child("integration"),
        )
        self._parts += [method, integration]

    def _preflight(self, path: str, methods: Sequence[str]) -> None:
        """Answer a browser's OPTIONS request with API Gateway itself."""
        component, resource = self._component, self._resources[path]
        headers = self._backend.cors.preflight_headers(
            {
                "Access-Control-Allow-Methods": ",".join([*methods, "OPTIONS"]),
                "Access-Control-Allow-Headers": _CORS_HEADERS,
                "Access-Control-Max-Age": "7200",
            }
        )
        method = apigateway.Method(
            f"{component.child_name('cors-method')}-{_slug(path)}",
            rest_api=self._api.id,
            resource_id=resource,
            http_method="OPTIONS",
            authorization="NONE",
            opts=component.child("cors-method"),
        )
        integration = apigateway.Integration(
            f"{component.child_name('cors-integration')}-{_slug(path)}",
            rest_api=self._api.id,
            resource_id=resource,
            http_method=method.http_method,
            type="MOCK",
            request_templates={"application/json": '{"statusCode": 204}'},
            opts=component.child("cors-integration"),
        )
        method_response = apigateway.MethodResponse(
            f"{component.child_name('cors-method-response')}-{_slug(path)}",
            rest_api=self._api.id,
            resource_id=resource,
            http_method=method.http_method,
            status_code="204",
            response_parameters=headers.apply(lambda headers: {_header(name): True for name in headers}),
            opts=component.child("cors-method-response"),
        )
        response = apigateway.IntegrationResponse(
            f"{component.child_name('cors-response')}-{_slug(path)}",
            rest_api=self._api.id,
            resource_id=resource,
            # Deleting an integration deletes its responses: where one is replaced, the other one is, too.
            http_method=integration.http_method,
            status_code=method_response.status_code,
            response_parameters=headers.apply(lambda headers: {_header(name): f"'{value}'" for name, value in headers.items()}),
            response_templates=self._backend.cors.preflight_templates(),
            opts=component.child("cors-response"),
        )
        self._parts += [method, integration, method_response, response]


def _header(name: str) -> str:
    return f"method.response.header.{name}"


def _slug(text: str) -> str:
    """Return a path or the id of an operation as part of a resource's name."""
    return "-".join(part for part in text.lower().replace("_", "-").replace(".", "-").split("/") if part)
