"""The routes of the REST API: a streaming method for each operation, and preflight answers."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypedDict

import pulumi
from pulumi_aws import apigateway, lambda_

from llm_gateway.operations import PATHS, Operation, path_parameters
from pulumi_llm.api_edge.api import Api
from pulumi_llm.api_edge.cors import Cors
from pulumi_llm.base.component import Component
from pulumi_llm.serverless_bedrock_api.args import RouteSettings, any_value

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
    "route-method": apigateway.Method,
    "route-integration": apigateway.Integration,
    "route-permission": lambda_.Permission,
}


def route_instances(
    prefix: str, operations: Sequence[Operation], own_routes: Sequence[RouteSettings]
) -> Mapping[str, Sequence[str]]:
    """The names within the keys of which there are several children."""
    paths = list(dict.fromkeys(each.path for each in (*operations, *own_routes)))
    parts = [f"{prefix}{path}".split("/")[1:] for path in paths]
    resources = dict.fromkeys("/" + "/".join(part[:count]) for part in parts for count in range(1, len(part) + 1))
    own = [_own_name(route) for route in own_routes]
    return {
        "resource": [_name(path) for path in resources],
        **{key: [_slug(operation.id) for operation in operations] for key in ("method", "integration")},
        **{key: [_name(path) for path in paths] for key in CHILDREN if key.startswith("cors-")},
        **dict.fromkeys(("route-method", "route-integration"), own),
        "route-permission": [_statement(name) for name in own],
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


class Routes(NamedTuple):
    """The resources of the routes: those that a deployment freezes, and the permissions that must be there before it."""

    parts: list[pulumi.Resource]
    permissions: list[pulumi.Resource]


def create_routes(
    component: Component, api: Api, backend: Backend, operations: Sequence[Operation], own_routes: Sequence[RouteSettings]
) -> Routes:
    """Make each operation a method of `api`, and the user's own routes beside them."""
    return _Routes(component, api, backend).create(operations, own_routes)


class _Routes:
    def __init__(self, component: Component, api: Api, backend: Backend) -> None:
        self._component = component
        self._api = api
        self._backend = backend
        self._resources: dict[str, pulumi.Output[str]] = {"": api.root_resource_id}
        self._parts: list[pulumi.Resource] = []
        self._permissions: list[pulumi.Resource] = []
        # The methods of each path.
        self._methods: dict[str, list[str]] = {}

    def create(self, operations: Sequence[Operation], own_routes: Sequence[RouteSettings]) -> Routes:
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
            # Unique within the API, on which there may be models of others.
            name="JsonObject" if self._api.parts else re.sub("[^A-Za-z0-9]", "", component.child_name("body-model")),
            content_type="application/json",
            schema=json.dumps({"$schema": "http://json-schema.org/draft-04/schema#", "type": "object"}),
            # AWS deletes no model that a method names, so one that replaces it has to be there first, under another name.
            opts=component.child("body-model", delete_before_replace=False),
        )
        self._parts += [validator, body]
        for operation in operations:
            self._method(operation, validator, body)
            self._methods.setdefault(operation.path, []).append(operation.method)
        for route in own_routes:
            self._own_route(route)
            self._methods.setdefault(route.path, []).append(route.method)
        for path, methods in self._methods.items():
            self._preflight(path, methods)
        return Routes(self._parts, self._permissions)

    def _resource(self, path: str) -> pulumi.Output[str]:
        """Return the id of the resource of a path. The resource and its parents are made if they do not exist yet."""
        if path not in self._resources:
            parent, _, part = path.rpartition("/")
            made = apigateway.Resource(
                f"{self._component.child_name('resource')}-{_name(path)}",
                rest_api=self._api.id,
                parent_id=self._resource(parent),
                path_part=part,
                opts=self._component.child("resource"),
            )
            self._parts.append(made)
            self._resources[path] = made.id
        return self._resources[path]

    def _method(self, operation: Operation, validator: apigateway.RequestValidator, body: apigateway.Model) -> None:
        component, backend, resource = self._component, self._backend, self._resource(self._api.path_prefix + operation.path)
        method = apigateway.Method(
            f"{component.child_name('method')}-{_slug(operation.id)}",
            rest_api=self._api.id,
            resource_id=resource,
            http_method=operation.method,
            **self._authorization(operation.authorized),
            request_validator_id=validator.id if operation.has_body else None,
            request_models={"application/json": body.name} if operation.has_body else None,
            request_parameters=_path_parameters(operation.path),
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

    def _authorization(self, authorized: bool) -> "_Authorization":
        """The arguments of a method that say who may call it."""
        authorizer = self._backend.authorizer if authorized else None
        return {
            "authorization": "CUSTOM" if authorizer else "AWS_IAM" if self._backend.auth == "iam" and authorized else "NONE",
            "authorizer_id": authorizer.id if authorizer else None,
            # With api_key_source AUTHORIZER, the usage plan counts the key that the authorizer returns.
            "api_key_required": authorizer is not None and self._backend.auth == "api_key",
        }

    def _own_route(self, route: RouteSettings) -> None:
        """Make a route of the user's own."""
        component, resource, name = self._component, self._resource(route.path), _own_name(route)
        method = apigateway.Method(
            f"{component.child_name('route-method')}-{name}",
            rest_api=self._api.id,
            resource_id=resource,
            http_method=route.method,
            **self._authorization(route.authorized),
            request_parameters=_path_parameters(route.path),
            opts=component.child("route-method"),
        )
        if route.function_arn is not None:
            function = pulumi.Output.from_input(route.function_arn)
            target: dict[str, Any] = {
                "type": "AWS_PROXY",
                "integration_http_method": "POST",
                "uri": function.apply(_invocation_uri),
            }
            self._permissions.append(self._route_permission(route, function))
        else:
            url = pulumi.Output.from_input(route.url or "")
            target = {
                "type": "HTTP_PROXY",
                "integration_http_method": route.method,
                "uri": url,
                "request_parameters": url.apply(
                    lambda url: {
                        f"integration.request.path.{parameter}": f"method.request.path.{parameter}"
                        for parameter in path_parameters(route.path)
                        if f"{{{parameter}}}" in url
                    }
                ),
            }
        integration = apigateway.Integration(
            f"{component.child_name('route-integration')}-{name}",
            rest_api=self._api.id,
            resource_id=resource,
            http_method=method.http_method,
            opts=component.child("route-integration"),
            **target,
        )
        self._parts += [method, integration]

    def _route_permission(self, route: RouteSettings, function: pulumi.Output[str]) -> lambda_.Permission:
        """Let API Gateway call the route's function, for that route alone."""
        method, path = route.method.replace("ANY", "*"), any_value(route.path)
        return lambda_.Permission(
            f"{self._component.child_name('route-permission')}-{_statement(_own_name(route))}",
            action="lambda:InvokeFunction",
            function=function.apply(lambda arn: ":".join(arn.split(":")[:7])),
            qualifier=function.apply(lambda arn: arn.split(":")[7] if arn.count(":") > 6 else None),
            principal="apigateway.amazonaws.com",
            source_arn=pulumi.Output.format("{}/{}/{}{}", self._api.execution_arn, self._api.stage_name, method, path),
            opts=self._component.child("route-permission"),
        )

    def _preflight(self, path: str, methods: Sequence[str]) -> None:
        """Answer a browser's OPTIONS request with API Gateway itself."""
        component, resource = self._component, self._resource(self._api.path_prefix + path)
        headers = self._backend.cors.preflight_headers(
            {
                "Access-Control-Allow-Methods": ",".join([*methods, "OPTIONS"]),
                "Access-Control-Allow-Headers": _CORS_HEADERS,
                "Access-Control-Max-Age": "7200",
            }
        )
        method = apigateway.Method(
            f"{component.child_name('cors-method')}-{_name(path)}",
            rest_api=self._api.id,
            resource_id=resource,
            http_method="OPTIONS",
            authorization="NONE",
            opts=component.child("cors-method"),
        )
        integration = apigateway.Integration(
            f"{component.child_name('cors-integration')}-{_name(path)}",
            rest_api=self._api.id,
            resource_id=resource,
            http_method=method.http_method,
            type="MOCK",
            request_templates={"application/json": '{"statusCode": 204}'},
            opts=component.child("cors-integration"),
        )
        method_response = apigateway.MethodResponse(
            f"{component.child_name('cors-method-response')}-{_name(path)}",
            rest_api=self._api.id,
            resource_id=resource,
            http_method=method.http_method,
            status_code="204",
            response_parameters=headers.apply(lambda headers: {_header(name): True for name in headers}),
            opts=component.child("cors-method-response"),
        )
        response = apigateway.IntegrationResponse(
            f"{component.child_name('cors-response')}-{_name(path)}",
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


class _Authorization(TypedDict):
    authorization: str
    authorizer_id: pulumi.Output[str] | None
    api_key_required: bool


def _invocation_uri(function_arn: str) -> str:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html"""
    _, partition, _, region, *_ = function_arn.split(":")
    return f"arn:{partition}:apigateway:{region}:lambda:path/2015-03-31/functions/{function_arn}/invocations"


def _path_parameters(path: str) -> dict[str, bool] | None:
    """Return the parameters of a path as a method declares them."""
    return {f"method.request.path.{parameter}": True for parameter in path_parameters(path)} or None


def _name(path: str) -> str:
    """Return a path as part of a resource's name. One of the user's own is kept as it is, for two must not become one.

    So is that of an operation that not every API has: a path above it may be the user's already, and keeps its name then. And
    that of a parameter, which may be the user's already, too.
    """
    above = {path.rpartition("/")[0] for path in PATHS.values()}
    return _slug(path) if path in (*PATHS.values(), *above) and "{" not in path else _unnamed(path)


def _own_name(route: RouteSettings) -> str:
    return f"{route.method}{_unnamed(route.path)}"


def _unnamed(path: str) -> str:
    """Return a path without its parameters' names. AWS takes one parameter below a resource: it is renamed in place, since one
    that is made beside the old one is refused."""
    return re.sub(r"\{[^}]+\}", "{}", path)


def _statement(name: str) -> str:
    """Return a route's name for its permission: the statement's id takes neither braces nor slashes, and 100 characters."""
    return f"{re.sub('[^A-Za-z0-9]+', '-', name)[:20].strip('-')}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"


def _header(name: str) -> str:
    return f"method.response.header.{name}"


def _slug(text: str) -> str:
    """Return a path or the id of an operation as part of a resource's name."""
    return "-".join(part for part in text.lower().replace("_", "-").replace(".", "-").split("/") if part)
