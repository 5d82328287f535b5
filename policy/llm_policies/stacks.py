"""Relations between the resources of a stack, such as the one that a property's value came from."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from llm_policies.rule import Resource
from llm_policies.values import State, Value, each

Found = Iterator[tuple[Resource | None, str]]


def of_type(resources: Iterable[Resource], *types: str) -> list[Resource]:
    """The resources of any of these types."""
    return [resource for resource in resources if resource.type in types]


def same(one: Resource, other: Resource) -> bool:
    """Whether two objects are the same resource. The engine may pass a dependency as a separate object."""
    if one.urn and other.urn:
        return one.urn == other.urn
    return one is other or (one.type, one.name) == (other.type, other.name)


def came_from(resource: Resource, name: str, *types: str) -> list[Resource]:
    """The resources of these types that a property's value came from."""
    return of_type(resource.dependencies.get(name, ()), *types)


def refers(resource: Resource, name: str, target: Resource, *outputs: str) -> bool:
    """Whether a property refers to a resource: its value came from there, or equals one of the resource's outputs.

    A text that is known names no resource whose name is not known yet: nobody could have written it down. Raises
    `NotVerified` where the property is not known, and came from no resource of that type.
    """
    sources = came_from(resource, name, target.type)
    if sources:
        return any(same(source, target) for source in sources)
    value = resource[name].text()
    return bool(value) and any(target[output].data == value for output in outputs)


def share(one: Resource, other: Resource, name: str) -> bool:
    """Whether a property has the same value in two resources: from the same resource, or known and equal."""
    ours, theirs = one.dependencies.get(name, ()), other.dependencies.get(name, ())
    if ours and theirs:
        return any(same(mine, its) for mine in ours for its in theirs)
    return one[name].text() == other[name].text()


def each_resource(resources: Iterable[Resource], check: Callable[[Resource], Iterator[str]]) -> Found:
    """Check all of them, also if one cannot be verified. Raises `NotVerified` at the end in that case."""
    yield from each(resources, lambda resource: ((resource, problem) for problem in check(resource)))


def companions(
    owner: Resource, resources: Iterable[Resource], types: Sequence[str], key: str, names: Sequence[str]
) -> tuple[list[Resource], str]:
    """Find the resources of `types` whose property `key` refers to `owner`; also the path of a `key` that is unknown.

    The engine's dependencies tell it first. Without them the property is held against the owner's own properties `names`: a
    text that is known names no resource whose name is not known yet, since nobody could have written it down.
    """
    found: list[Resource] = []
    unverified = ""
    known = {owner[name].known_text for name in names} - {""}
    for resource in of_type(resources, *types):
        origins = [origin for origin in resource.dependencies.get(key, ()) if origin.type == owner.type]
        if origins:
            if any(same(origin, owner) for origin in origins):
                found.append(resource)
        elif resource[key].state is State.UNKNOWN:
            unverified = unverified or f"{resource.name}.{key}"
        elif resource[key].known_text in known:
            found.append(resource)
    return found, unverified


def given(resource: Resource, key: str) -> Value:
    """A property of a stack's resource, as the program set it.

    A state holds what the provider computes too, unknown before the resource is made. An unknown that came from no other
    resource was computed by the provider: the program left it out.
    """
    value = resource[key]
    return Value(None, key) if value.state is State.UNKNOWN and not resource.dependencies.get(key) else value
