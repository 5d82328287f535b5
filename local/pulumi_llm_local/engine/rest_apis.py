"""What API Gateway serves: a deployment is a snapshot of its REST API, and a stage serves its deployment's."""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from pulumi_llm_local.aws_types.apigateway import (
    AUTHORIZER,
    GATEWAY_RESPONSE,
    INTEGRATION,
    INTEGRATION_RESPONSE,
    METHOD,
    METHOD_RESPONSE,
    MODEL,
    REQUEST_VALIDATOR,
    RESOURCE,
    REST_API,
    REST_API_POLICY,
)
from pulumi_llm_local.aws_types.values import revealed
from pulumi_llm_local.engine.changes import DEFAULTS

Description = Mapping[str, Any]
"""What callers can notice of an API: its settings, its gateway responses, and its routes with all that belongs to each."""


class Resource(Protocol):
    """One resource of the account."""

    @property
    def token(self) -> str: ...
    @property
    def id(self) -> str: ...
    @property
    def inputs(self) -> Mapping[str, Any]: ...
    @property
    def state(self) -> Mapping[str, Any]: ...


def described(api: str, account: Iterable[Resource]) -> Description:
    """Describe the REST API with the id `api` as a deployment would freeze it now.

    Everything that needs a new deployment is in it: the API's own settings, authorizers, gateway responses, methods,
    integrations, responses, models, validators and resources. What no route refers to is left out. An API key takes effect by
    its usage plan, which is no part of an API.
    https://docs.aws.amazon.com/apigateway/latest/developerguide/updating-api.html
    """
    parts = _Parts(api, account)
    return {
        "api": {
            "settings": parts.settings(REST_API, api, without=("tags",)),
            "policy": [_settings(each) for each in parts.of(REST_API_POLICY)],
        },
        "gateway responses": {
            each.inputs["responseType"]: _settings(each, without=("restApiId",)) for each in parts.of(GATEWAY_RESPONSE)
        },
        "routes": {parts.route(method): parts.described(method) for method in parts.of(METHOD)},
    }


def methods_without_integration(api: str, account: Iterable[Resource]) -> list[str]:
    """The routes of an API that cannot be deployed yet; an API without any method can't be, either."""
    parts = _Parts(api, account)
    integrated = {_key(each) for each in parts.of(INTEGRATION)}
    return sorted(parts.route(each) for each in parts.of(METHOD) if _key(each) not in integrated)


def lacks_policy(description: Description) -> bool:
    """Whether it is a private API without a resource policy, which is not deployed.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-resource-policies-create-attach.html
    """
    settings: Mapping[str, Any] = description["api"]["settings"] or {}
    endpoint: Mapping[str, Any] = settings.get("endpointConfiguration") or {}
    return endpoint.get("types") == "PRIVATE" and not (settings.get("policy") or description["api"]["policy"])


class _Parts:
    """The resources of one API."""

    def __init__(self, api: str, account: Iterable[Resource]) -> None:
        self._parts = [
            each
            for each in account
            if api in (each.inputs.get("restApi"), each.inputs.get("restApiId")) or (each.token, each.id) == (REST_API, api)
        ]

    def of(self, token: str) -> list[Resource]:
        return [each for each in self._parts if each.token == token]

    def settings(self, token: str, identifier: Any, *, without: tuple[str, ...] = ()) -> Description | None:
        """The settings of the part with that id; None where there is none."""
        return next((_settings(each, without) for each in self.of(token) if each.id == identifier), None)

    def route(self, method: Resource) -> str:
        return f"{method.inputs['httpMethod']} {self._path(method.inputs['resourceId']) or '/'}"

    def _path(self, resource: str) -> str:
        found = next((each for each in self.of(RESOURCE) if each.id == resource), None)
        return f"{self._path(found.inputs['parentId'])}/{found.inputs['pathPart']}" if found else ""

    def described(self, method: Resource) -> Description:
        inputs, key = method.inputs, _key(method)
        models: Mapping[str, str] = inputs.get("requestModels") or {}
        names = {each.state["name"]: _settings(each) for each in self.of(MODEL)}
        return {
            "method": _settings(method, without=("authorizerId", "requestValidatorId", "resourceId")),
            "authorizer": self.settings(AUTHORIZER, inputs.get("authorizerId")),
            "validator": self.settings(REQUEST_VALIDATOR, inputs.get("requestValidatorId")),
            "models": {content: names.get(name) for content, name in models.items()},
            "integration": [_settings(each) for each in self.of(INTEGRATION) if _key(each) == key],
            "responses": self._by_status(METHOD_RESPONSE, key),
            "integration responses": self._by_status(INTEGRATION_RESPONSE, key),
        }

    def _by_status(self, token: str, key: tuple[Any, ...]) -> Description:
        return {str(each.inputs["statusCode"]): _settings(each) for each in self.of(token) if _key(each) == key}


def _key(part: Resource) -> tuple[Any, ...]:
    return part.inputs["resourceId"], part.inputs["httpMethod"]


def _settings(part: Resource, without: tuple[str, ...] = ()) -> Description:
    return {key: value for key, value in revealed(part.inputs).items() if key not in (DEFAULTS, *without)}
