"""What exists in the stand-ins' account: every resource that was created and not deleted, and what was asked, in order."""

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pulumi_llm_local.aws_types import registry
from pulumi_llm_local.aws_types.draft import Place
from pulumi_llm_local.aws_types.lambda_ import FUNCTION, UNPUBLISHED
from pulumi_llm_local.aws_types.registry import TYPES
from pulumi_llm_local.aws_types.values import revealed
from pulumi_llm_local.engine.changes import changes


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


@dataclass
class Cloud:
    """An account. `before` is asked ahead of every change; it may raise `Refused`, or end the engine."""

    before: Callable[[ProviderCall], None] = lambda call: None
    calls: list[ProviderCall] = field(default_factory=list[ProviderCall])
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
            identifier, state = registry.outputs(token, urn.rpartition("::")[2], inputs, place)
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
            _, state = registry.outputs(token, urn.rpartition("::")[2], inputs, existing.place)
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
            protection = TYPES[token].deletion_protection if token in TYPES else None
            if protection and revealed(existing.inputs).get(protection[0]) == protection[1]:
                raise Refused(f"the resource {identifier!r} is protected against deletion: {protection[0]} is on")
            del self._existing[token, identifier]

    def _is_taken(self, token: str, inputs: Mapping[str, Any]) -> bool:
        unique = TYPES[token].unique if token in TYPES else ()
        if not unique:
            return False
        mine = revealed(inputs)
        theirs = (revealed(existing.inputs) for existing in self._existing.values() if existing.token == token)
        return any(all(mine.get(key) == other.get(key) is not None for key in unique) for other in theirs)

    def _ask(self, verb: str, urn: str) -> None:
        call = ProviderCall(verb, urn)
        self.before(call)
        with self._lock:
            self.calls.append(call)
