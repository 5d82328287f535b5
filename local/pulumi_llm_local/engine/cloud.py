"""What exists in the stand-ins' account: every resource that was created and not deleted, and what was asked, in order."""

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from pulumi_llm_local.aws_types import computed_outputs
from pulumi_llm_local.aws_types.computed_outputs import Place
from pulumi_llm_local.engine.changes import changes
from pulumi_llm_local.program.arguments import revealed

DELETION_PROTECTION: Final = {
    "aws:cognito/userPool:UserPool": ("deletionProtection", "ACTIVE"),
    "aws:dynamodb/table:Table": ("deletionProtectionEnabled", True),
    "aws:eks/cluster:Cluster": ("deletionProtection", True),
    "aws:lb/loadBalancer:LoadBalancer": ("enableDeletionProtection", True),
}
"""The property that has AWS refuse to delete a resource of a type, and its value then."""


FUNCTION: Final = "aws:lambda/function:Function"
PUBLISHED: Final = ("version", "qualifiedArn", "qualifiedInvokeArn")
"""What a function has anew with each version."""
# https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/lambda/function.go (needsFunctionConfigUpdate)
_UNPUBLISHED: Final = {"codeSigningConfigArn", "reservedConcurrentExecutions", "tags", "tagsAll"}

UNIQUE: Final = {
    "aws:apigateway/authorizer:Authorizer": ("restApi", "name"),
    "aws:apigateway/model:Model": ("restApi", "name"),
    "aws:apigateway/resource:Resource": ("restApi", "parentId", "pathPart"),
    # A key is in one usage plan for each stage.
    # https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-api-usage-plans.html
    "aws:apigateway/usagePlanKey:UsagePlanKey": ("keyId",),
}
"""The properties that no two resources of a type may share, beside their ids."""


def published(token: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether an update of a function publishes a version: of its code or configuration, not of its tags."""
    if token != FUNCTION or new.get("publish") is not True:
        return False
    return any(path.partition(".")[0].partition("[")[0] not in _UNPUBLISHED for path in changes(old, new))


class Refused(Exception):
    """The account refuses the call, as AWS would."""


@dataclass(frozen=True)
class Call:
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


@dataclass
class Cloud:
    """An account. `before` is asked ahead of every change; it may raise `Refused`, or end the engine."""

    before: Callable[[Call], None] = lambda call: None
    calls: list[Call] = field(default_factory=list[Call])
    _existing: dict[tuple[str, str], Existing] = field(default_factory=dict[tuple[str, str], Existing])
    _made: dict[str, int] = field(default_factory=dict[str, int])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __iter__(self) -> Iterator[Existing]:
        return iter(list(self._existing.values()))

    def create(self, token: str, urn: str, inputs: Mapping[str, Any], place: Place) -> Existing:
        """Make a resource. Each of the same URN has other ids than the one before it."""
        self._ask("create", urn)
        with self._lock:
            made = self._made[urn] = self._made.get(urn, 0) + 1
            place = replace(place, seed=place.seed if made == 1 else f"{place.seed}{made}")
            identifier, state = computed_outputs.outputs(token, urn.rpartition("::")[2], inputs, place)
            if (token, identifier) in self._existing or self._is_taken(token, inputs):
                raise Refused(f"ConflictException: there is a {token} {identifier!r} already")
            existing = Existing(token, urn, identifier, inputs, state, place)
            self._existing[token, identifier] = existing
        return existing

    def read(self, token: str, identifier: str) -> Existing | None:
        """The resource, where there is one."""
        return self._existing.get((token, identifier))

    def update(self, token: str, identifier: str, urn: str, inputs: Mapping[str, Any]) -> Existing:
        """Change a resource; its id and what else does not follow from its inputs stay."""
        self._ask("update", urn)
        with self._lock:
            existing = self._existing.get((token, identifier))
            if existing is None:
                raise Refused(f"NotFound: there is no {token} {identifier!r}")
            if published(token, existing.inputs, inputs):
                existing.version += 1
            existing.inputs = inputs
            _, state = computed_outputs.outputs(token, urn.rpartition("::")[2], inputs, existing.place)
            if token == FUNCTION and existing.version > 1:
                for key in ("qualifiedArn", "qualifiedInvokeArn"):
                    state[key] = state[key].replace(f"{state['arn']}:1", f"{state['arn']}:{existing.version}")
                state["version"] = str(existing.version)
            existing.state = state
        return existing

    def delete(self, token: str, identifier: str, urn: str) -> None:
        """Delete a resource; one that is gone already is none the worse for it."""
        self._ask("delete", urn)
        with self._lock:
            existing = self._existing.get((token, identifier))
            if existing is None:
                return
            property_name, protected = DELETION_PROTECTION.get(token, ("", None))
            if property_name and revealed(existing.inputs).get(property_name) == protected:
                raise Refused(f"the resource {identifier!r} is protected against deletion: {property_name} is on")
            del self._existing[token, identifier]

    def _is_taken(self, token: str, inputs: Mapping[str, Any]) -> bool:
        if token not in UNIQUE:
            return False
        mine = revealed(inputs)
        theirs = (revealed(existing.inputs) for existing in self._existing.values() if existing.token == token)
        return any(all(mine.get(key) == other.get(key) for key in UNIQUE[token]) for other in theirs)

    def _ask(self, verb: str, urn: str) -> None:
        call = Call(verb, urn)
        self.before(call)
        with self._lock:
            self.calls.append(call)
