"""What exists in the stand-ins' account: every resource that was created and not deleted, and what was asked, in order."""

import copy
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

from pulumi_llm_local.aws_types import apigatewayv2 as v2
from pulumi_llm_local.aws_types import registry
from pulumi_llm_local.aws_types.apigateway import DEPLOYMENT, RESOURCE, STAGE, USAGE_PLAN
from pulumi_llm_local.aws_types.aws_type import AwsType, Relation
from pulumi_llm_local.aws_types.draft import Place
from pulumi_llm_local.aws_types.lambda_ import FUNCTION, UNPUBLISHED
from pulumi_llm_local.aws_types.registry import TYPES
from pulumi_llm_local.aws_types.values import revealed
from pulumi_llm_local.engine import eks, private_link, rest_apis, websocket_apis
from pulumi_llm_local.engine.changes import changes

_ACCOUNT = "aws:apigateway/account:Account"
STAGES = (STAGE, v2.STAGE)
_DEPLOYMENTS = (DEPLOYMENT, v2.DEPLOYMENT)
_METHOD_SETTINGS = "aws:apigateway/methodSettings:MethodSettings"


def published(token: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether an update of a function publishes a version: of its code or configuration, not of its tags."""
    if token != FUNCTION or new.get("publish") is not True:
        return False
    return any(path.partition(".")[0].partition("[")[0] not in UNPUBLISHED for path in changes(old, new))


class Refused(Exception):
    """The account refuses the call, as AWS would."""


@dataclass(frozen=True)
class ProviderCall:
    """One change that was asked for: `verb` is create, update or delete."""

    verb: str
    urn: str


@dataclass
class Existing:
    """One resource of the account."""

    token: str
    urn: str
    id: str
    inputs: Mapping[str, Any]
    state: Mapping[str, Any]
    place: Place
    version: int = 1
    """How often a function's version was published."""
    snapshot: rest_apis.Description | None = None
    """What a deployment has frozen of its API."""

    @property
    def entry(self) -> AwsType:
        return TYPES.get(self.token, _NOTHING_KNOWN)

    @property
    def identity(self) -> tuple[str, ...]:
        return _identity(self.token, self.id, self.inputs, self.place.cluster)


def _identity(token: str, identifier: str, state: Mapping[str, Any], cluster: str) -> tuple[str, ...]:
    """What no two resources share. Objects of Kubernetes may have one name in two clusters."""
    found = registry.identity(token, identifier, state)
    return (*found, cluster) if cluster else found


@dataclass
class Cloud:
    """An account. `before` is asked ahead of every change; it may raise `Refused`, or end the engine."""

    before: Callable[[ProviderCall], None] = lambda call: None
    calls: list[ProviderCall] = field(default_factory=list[ProviderCall])
    _existing: dict[tuple[str, ...], Existing] = field(default_factory=dict[tuple[str, ...], Existing])
    _made: dict[str, int] = field(default_factory=dict[str, int])
    _lock: threading.RLock = field(default_factory=threading.RLock)
    api_gateway_log_role: bool = False
    """Whether a person has set API Gateway's log role in every Region already."""

    def __iter__(self) -> Iterator[Existing]:
        return iter(list(self._existing.values()))

    def create(self, token: str, urn: str, inputs: Mapping[str, Any], place: Place) -> Existing:
        """Make a resource. Each of the same URN has other ids than the one before it."""
        self._ask("create", urn)
        with self._lock:
            made = self._made[urn] = self._made.get(urn, 0) + 1
            place = replace(place, seed=place.seed if made == 1 else f"{place.seed}{made}")
            identifier, state = registry.outputs(token, urn.rpartition("::")[2], inputs, place)
            created = Existing(token, urn, identifier, inputs, state, place)
            if not created.entry.overwrites and (created.identity in self._existing or self._is_taken(created)):
                raise Refused(f"ConflictException: there is a {token} {identifier!r} already")
            self._refuse_without_what_it_needs(created)
            if token in _DEPLOYMENTS:
                created.snapshot = self._frozen(created)
            self._existing[created.identity] = created
        return created

    def read(self, token: str, identifier: str, state: Mapping[str, Any], cluster: str = "") -> Existing | None:
        """The resource that has that id and was last in that state, where there is one."""
        return self._existing.get(_identity(token, identifier, state, cluster))

    def update(self, token: str, identifier: str, urn: str, inputs: Mapping[str, Any], cluster: str = "") -> Existing:
        """Change a resource; its id and what else does not follow from its inputs stay."""
        self._ask("update", urn)
        with self._lock:
            existing = self.read(token, identifier, inputs, cluster)
            if existing is None:
                raise Refused(f"NotFound: there is no {token} {identifier!r}")
            self._refuse_without_what_it_needs(replace(existing, inputs=inputs))
            if refusal := eks.refused_change(existing, inputs, self):
                raise Refused(refusal)
            if published(token, existing.inputs, inputs):
                existing.version += 1
            existing.inputs = inputs
            _, state = registry.outputs(token, urn.rpartition("::")[2], inputs, existing.place)
            if token == FUNCTION and existing.version > 1:
                for key in ("qualifiedArn", "qualifiedInvokeArn"):
                    state[key] = state[key].replace(f"{state['arn']}:1", f"{state['arn']}:{existing.version}")
                state["version"] = str(existing.version)
            existing.state = state
        return existing

    def delete(self, token: str, identifier: str, urn: str, state: Mapping[str, Any], cluster: str = "") -> None:
        """Delete a resource with what it contains; one that is gone already is none the worse for it."""
        self._ask("delete", urn)
        with self._lock:
            existing = self.read(token, identifier, state, cluster)
            if existing is None:
                return
            protection = existing.entry.deletion_protection
            if protection and revealed(existing.inputs).get(protection[0]) == protection[1]:
                raise Refused(f"the resource {identifier!r} is protected against deletion: {protection[0]} is on")
            for relation in existing.entry.blocked_by:
                for other in self._referring(existing, relation):
                    raise Refused(f"{relation.refusal} ({identifier} is used by {other.urn.rpartition('::')[2]})")
            for other in self._alike(existing, existing.entry.deleted_by):
                self._remove(other)
            self._remove(existing)

    def forget(self, existing: Existing) -> None:
        """Undo a creation that was refused elsewhere."""
        with self._lock:
            self._remove(existing)

    def served(self, stage: Existing) -> rest_apis.Description | None:
        """What a stage serves: the snapshot that its deployment took."""
        inputs = revealed(stage.inputs)
        token, name = (v2.DEPLOYMENT, "deploymentId") if stage.token == v2.STAGE else (DEPLOYMENT, "deployment")
        deployment = self._existing.get((token, str(inputs.get(name))))
        return deployment.snapshot if deployment else None

    def configured(self, stage: Existing) -> rest_apis.Description:
        """What a stage would serve after a new deployment."""
        if stage.token == v2.STAGE:
            return websocket_apis.described(stage.inputs["apiId"], self)
        return rest_apis.described(stage.inputs["restApi"], self)

    def of_type(self, token: str) -> list[Existing]:
        return [existing for existing in self if existing.token == token]

    def copy(self) -> "Cloud":
        """An account of its own in which the same exists."""
        copied = Cloud(self.before, list(self.calls), copy.deepcopy(self._existing), dict(self._made))
        copied.api_gateway_log_role = self.api_gateway_log_role
        return copied

    def become(self, other: "Cloud") -> None:
        """Have what exists in another account, and nothing else."""
        copied = other.copy()
        self.calls, self._existing, self._made = copied.calls, copied._existing, copied._made

    def _frozen(self, deployment: Existing) -> rest_apis.Description:
        """https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-deployments.html"""
        if deployment.token == v2.DEPLOYMENT:
            snapshot = websocket_apis.described(deployment.inputs["apiId"], self)
            if not snapshot["routes"]:  # https://github.com/mach-composer/mach-composer-cli/issues/42
                raise Refused("BadRequestException: Unable to deploy API because no routes exist in this API")
            return copy.deepcopy(snapshot)
        api = deployment.inputs["restApi"]
        snapshot = rest_apis.described(api, self)
        if not snapshot["routes"]:
            raise Refused("BadRequestException: The REST API doesn't contain any methods")
        if missing := rest_apis.methods_without_integration(api, self):
            raise Refused(f"BadRequestException: No integration defined for method ({', '.join(missing)})")
        if rest_apis.lacks_policy(snapshot):
            raise Refused("BadRequestException: Private REST API doesn't have a resource policy attached to it")
        return copy.deepcopy(snapshot)

    def _remove(self, existing: Existing) -> None:
        if self._existing.pop(existing.identity, None) is None:
            return
        for relation in existing.entry.contains:
            for child in self._referring(existing, relation):
                self._remove(child)
        if existing.token == STAGE:
            self._take_out_of_usage_plans(existing)

    def _referring(self, existing: Existing, relation: Relation) -> list[Existing]:
        """The resources that refer to `existing` in that way."""
        return [other for other in self.of_type(relation.token) if _refers(other, existing, relation)]

    def _refuse_without_what_it_needs(self, existing: Existing) -> None:
        self._refuse_logs_without_their_role(existing)
        self._refuse_a_second_parameter(existing)
        if refusal := private_link.refusal(existing, self):
            raise Refused(refusal)
        for relation in existing.entry.needs:
            if not any(_refers(existing, other, relation) for other in self.of_type(relation.token)):
                raise Refused(relation.refusal)
        if existing.token == USAGE_PLAN:
            stages = {(stage.inputs["restApi"], stage.inputs["stageName"]) for stage in self.of_type(STAGE)}
            for api, name in _stages_of(existing):
                if (api, name) not in stages:
                    raise Refused(f"NotFoundException: API Stage not found: {api}:{name}")

    def _take_out_of_usage_plans(self, stage: Existing) -> None:
        """A stage that is made anew is in no plan. https://github.com/hashicorp/terraform-provider-aws/issues/14100"""
        for plan in self.of_type(USAGE_PLAN):
            if (stage.inputs["restApi"], stage.inputs["stageName"]) in _stages_of(plan):
                plan.inputs = {key: value for key, value in plan.inputs.items() if key != "apiStages"}

    def _is_taken(self, created: Existing) -> bool:
        return bool(self._alike(created, created.entry.unique))

    def _alike(self, one: Existing, keys: tuple[str, ...]) -> list[Existing]:
        """The resources of the type that have the same of these properties. There are none without properties."""
        mine = revealed(one.inputs)
        theirs = [(other, revealed(other.inputs)) for other in self.of_type(one.token)] if keys else []
        return [other for other, given in theirs if all(mine.get(key) == given.get(key) is not None for key in keys)]

    def _refuse_logs_without_their_role(self, existing: Existing) -> None:
        """API Gateway logs with one role a Region, which has to be set first.

        https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-logging.html
        """
        given = revealed(existing.inputs)
        logs = bool(given.get("accessLogSettings")) if existing.token in STAGES else False
        if existing.token == _METHOD_SETTINGS:
            logs = given.get("settings", {}).get("loggingLevel", "OFF") != "OFF"
        if existing.token == v2.STAGE:
            routes: list[Mapping[str, Any]] = [given.get("defaultRouteSettings") or {}, *(given.get("routeSettings") or [])]
            logs = logs or any(route.get("loggingLevel", "OFF") != "OFF" for route in routes)
        accounts = (other for other in self.of_type(_ACCOUNT) if other.place.region == existing.place.region)
        if logs and not (
            self.api_gateway_log_role or any(revealed(other.inputs).get("cloudwatchRoleArn") for other in accounts)
        ):
            raise Refused("BadRequestException: CloudWatch Logs role ARN must be set in account settings to enable logging")

    def _refuse_a_second_parameter(self, existing: Existing) -> None:
        """A resource has one child at most whose path part is a parameter.

        https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-method-settings-method-request.html
        """
        if existing.token != RESOURCE:
            return
        given = revealed(existing.inputs)
        for other in self.of_type(RESOURCE):
            sibling = revealed(other.inputs)
            beside = all(sibling.get(key) == given.get(key) for key in ("restApi", "parentId")) and other.id != existing.id
            if beside and str(sibling.get("pathPart")).startswith("{") and str(given.get("pathPart")).startswith("{"):
                raise Refused(
                    f"BadRequestException: A sibling ({sibling['pathPart']}) of this resource already has a variable path part "
                    "-- only one is allowed"
                )

    def _ask(self, verb: str, urn: str) -> None:
        call = ProviderCall(verb, urn)
        self.before(call)
        with self._lock:
            self.calls.append(call)


_NOTHING_KNOWN = AwsType()


def _refers(one: Existing, other: Existing, relation: Relation) -> bool:
    given, properties = revealed(one.inputs), {**other.state, **revealed(other.inputs), "id": other.id}

    def sought(theirs: str) -> Any:
        return theirs.replace("{id}", other.id) if "{id}" in theirs else properties.get(theirs)

    return all(_holds(given.get(mine), sought(theirs)) for mine, theirs in relation.keys.items())


def _stages_of(plan: Existing) -> list[tuple[Any, Any]]:
    return [(stage["apiId"], stage["stage"]) for stage in revealed(plan.inputs).get("apiStages", [])]


def _holds(value: Any, sought: Any) -> bool:
    """Whether a value is what is sought, or holds it at any depth."""
    if isinstance(value, Mapping):
        return any(_holds(item, sought) for item in cast("Mapping[str, Any]", value).values())
    if isinstance(value, list):
        return any(_holds(item, sought) for item in cast("list[Any]", value))
    return value is not None and value == sought
