"""Finds the resources of a stack that stand beside another one: a bucket's policy, a network's flow log."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from llm_policies.rule import Resource
from llm_policies.values import NotVerified, State, Value

Problem = tuple[Resource | None, str]


def of_types(resources: Iterable[Resource], types: Sequence[str]) -> list[Resource]:
    return [resource for resource in resources if resource.type in types]


def companions(
    owner: Resource, resources: Iterable[Resource], types: Sequence[str], key: str, names: Sequence[str]
) -> tuple[list[Resource], str]:
    """Find those of `types` whose property `key` names `owner`; also the path of a `key` that cannot be told.

    The engine's dependencies tell it first. Without them the property is held against the owner's own properties `names`: a
    text that is known names no resource whose name is not known yet, since nobody could have written it down.
    """
    found: list[Resource] = []
    unverified = ""
    known = {owner[name].plain for name in names if owner[name].state is State.KNOWN}
    for resource in of_types(resources, types):
        origins = [origin for origin in resource.dependencies.get(key, ()) if origin.type == owner.type]
        if origins:
            if any(same(origin, owner) for origin in origins):
                found.append(resource)
        elif resource[key].state is State.UNKNOWN:
            unverified = unverified or f"{resource.name}.{key}"
        elif resource[key].plain in known:
            found.append(resource)
    return found, unverified


def given(resource: Resource, key: str) -> Value:
    """A stack resource's property as the program gave it.

    A state holds what the provider computes too, unknown before the resource is made. An unknown that came from no other
    resource was computed by the provider: the program left it out.
    """
    value = resource[key]
    return Value(None, key) if value.state is State.UNKNOWN and not resource.dependencies.get(key) else value


def same(one: Resource, other: Resource) -> bool:
    return one is other or (bool(one.urn) and one.urn == other.urn)


def every(resources: Iterable[Resource], check: Callable[[Resource], Iterator[str]]) -> Iterator[Problem]:
    """Check every one: one that cannot be verified hides no problem of the others. Raises `NotVerified` at the end."""
    unverified: NotVerified | None = None
    for resource in resources:
        try:
            for problem in check(resource):
                yield resource, problem
        except NotVerified as error:
            unverified = unverified or error
    if unverified is not None:
        raise unverified
