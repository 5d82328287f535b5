"""Checks the arguments of a resource against its class in the provider's SDK.

Nothing else checks a program under mocks, or against stand-in providers: a misspelled argument would be sent and lost.
The generated class of a resource's type says which arguments there are, of which types, and which are required, nested
to any depth. This module reports what in a resource's inputs differs from that.

The inputs are taken as the engine gets them: camelCase keys, every number a float, secrets, unknowns, assets and
archives either as objects or as the dictionaries that stand for them on the wire.
"""

import enum
import inspect
import json
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal, cast

import pulumi

from pulumi_llm_local.aws_types import sdk
from pulumi_llm_local.aws_types.sdk import Argument, arguments_of, is_arguments_class, known_types, members
from pulumi_llm_local.aws_types.values import ARCHIVE, ASSET, RESOURCE, SIGNATURE, UNKNOWN, unwrapped
from pulumi_llm_local.aws_types.wording import listed, nearest, shortened


def problems(token: str, inputs: Mapping[str, Any]) -> list[str]:
    """List what is wrong with a resource's inputs.

    Args:
        token: The resource's type, such as `aws:lambda/function:Function` or `pulumi:providers:aws`. A Kubernetes custom
            resource has no class: only `apiVersion`, `kind` and `metadata` of it are checked.
        inputs: The resource's inputs, as the engine gets them.

    Returns:
        One line for each problem, which names the type and the property's path.

    Raises:
        LookupError: There is no class to check against, as `sdk.resource_class` says.
    """
    if _is_custom_kubernetes_resource(token):
        return [f"{token}: {problem}" for problem in _custom_resource_problems(token, inputs)]
    arguments_class = sdk.arguments_class(token)
    if token.startswith("pulumi:providers:"):
        inputs = _decoded_provider_inputs(arguments_class, inputs)
    return [f"{token}: {problem}" for problem in _object_problems(arguments_class, inputs, "", secret=False)]


# Values against types. Each function yields "path: problem" lines.


def _object_problems(arguments_class: type, value: Mapping[str, Any], path: str, *, secret: bool) -> Iterator[str]:
    arguments = arguments_of(arguments_class)
    for key, item in value.items():
        if key.startswith("__"):  # the engine's own notes, such as __defaults
            continue
        if key not in arguments:
            yield f"{_joined(path, key)}: no such argument{_suggestion(key, arguments)}"
        elif item is not None:
            yield from _value_problems(arguments[key].types, item, _joined(path, key), secret=secret)
    for key, argument in arguments.items():
        if argument.required and unwrapped(value.get(key))[0] is None:
            yield f"{_joined(path, key)}: required, but missing"


def _value_problems(accepted: Sequence[Any], value: Any, path: str, *, secret: bool) -> list[str]:
    """Hold a value against the types it may have; where it fits none, give the problems with the nearest one."""
    value, concealed = unwrapped(value)
    secret = secret or concealed
    # Null in a secret's wrapping is an argument that is not given, too.
    if value is None or value == UNKNOWN or not accepted or Any in accepted:
        return []
    nearest: list[str] | None = None
    for annotation in accepted:
        if not _has_kind(annotation, value):
            continue
        found = list(_inner_problems(annotation, value, path, secret=secret))
        if not found:
            return []
        if nearest is None or len(found) < len(nearest):
            nearest = found
    if nearest is not None:
        return nearest
    kinds = list(dict.fromkeys(_kind_text(annotation) for annotation in accepted))
    return [f"{path}: must be {' or '.join(kinds)}, not {_shown(value, secret=secret)}"]


def _has_kind(annotation: Any, value: Any) -> bool:
    """Say whether a value is of an annotation's outer kind: a list for a list, whatever the list holds."""
    origin = typing.get_origin(annotation) or annotation
    signature: Any = cast("Any", value).get(SIGNATURE) if isinstance(value, Mapping) else None
    fits = True
    if origin is str:
        fits = isinstance(value, (str, pulumi.Resource)) or signature == RESOURCE
    elif origin is bool:
        fits = isinstance(value, bool)
    elif origin in (int, float):
        fits = isinstance(value, (int, float)) and not isinstance(value, bool)
    elif origin is Literal or _is_enum(origin):
        fits = isinstance(value, (str, int, float))
    elif inspect.isclass(origin):
        if issubclass(origin, (pulumi.Asset, pulumi.Archive)):
            wanted = ASSET if issubclass(origin, pulumi.Asset) else ARCHIVE
            fits = isinstance(value, origin) or signature == wanted
        elif is_arguments_class(origin) or issubclass(origin, Mapping):
            fits = isinstance(value, Mapping) and signature is None
        elif issubclass(origin, Sequence):
            fits = isinstance(value, Sequence) and not isinstance(value, (str, bytes))
    return fits


def _inner_problems(annotation: Any, value: Any, path: str, *, secret: bool) -> Iterator[str]:
    """Check what a value of the right kind holds."""
    origin = typing.get_origin(annotation) or annotation
    if is_arguments_class(origin):
        yield from _object_problems(origin, value, path, secret=secret)
    elif isinstance(value, Mapping):
        items = tuple(members((typing.get_args(annotation) or (str, Any))[1]))
        for key, item in cast("Mapping[str, Any]", value).items():
            if item is not None:
                yield from _value_problems(items, item, _joined(path, key), secret=secret)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        items = tuple(members((typing.get_args(annotation) or (Any,))[0]))
        for index, item in enumerate(cast("Sequence[Any]", value)):
            if item is not None:
                yield from _value_problems(items, item, f"{path}[{index}]", secret=secret)
    elif origin is int and isinstance(value, float) and not value.is_integer():
        yield f"{path}: must be a whole number, not {_shown(value, secret=secret)}"
    elif (values := _values(annotation)) and value not in values:
        yield f"{path}: must be {listed(values, 'or')}, not {_shown(value, secret=secret)}"


def _values(annotation: Any) -> list[Any]:
    """List the values of an enumeration, none where the annotation is something else."""
    if typing.get_origin(annotation) is Literal:
        return list(typing.get_args(annotation))
    return [member.value for member in annotation] if _is_enum(annotation) else []


def _is_enum(annotation: Any) -> bool:
    return inspect.isclass(annotation) and issubclass(annotation, enum.Enum)


# The two kinds of resource that differ from the rest.


def _decoded_provider_inputs(arguments_class: type, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Decode a provider's arguments: all but strings travel as JSON text."""
    decoded: dict[str, Any] = {}
    for key, value in inputs.items():
        plain, _ = unwrapped(value)
        argument = arguments_of(arguments_class).get(key)
        decoded[key] = value
        if isinstance(plain, str) and plain != UNKNOWN and argument and str not in argument.types:
            try:
                decoded[key] = json.loads(plain)
            except ValueError:
                continue  # the check reports that it is a string
    return decoded


def _is_custom_kubernetes_resource(token: str) -> bool:
    """Say whether a type belongs to an API group (a name with a dot) that the Kubernetes SDK doesn't have."""
    package, _, group = token.split("/", maxsplit=1)[0].partition(":")
    if package != "kubernetes" or "." not in group or token.count(":") != 2:
        return False
    return not any(known.startswith(f"kubernetes:{group}/") for known in known_types("kubernetes"))


def _custom_resource_problems(token: str, inputs: Mapping[str, Any]) -> Iterator[str]:
    _, api_version, kind = token.split(":")
    for key, wanted in {"apiVersion": api_version, "kind": kind}.items():
        if inputs.get(key) != wanted:
            yield f"{key}: must be {wanted!r}, not {_shown(inputs.get(key), secret=False)}"
    metadata = arguments_of(sdk.arguments_class("kubernetes:core/v1:ConfigMap"))["metadata"]
    if inputs.get("metadata") is not None:
        yield from _value_problems(metadata.types, inputs["metadata"], "metadata", secret=False)


# Words.


def _kind_text(annotation: Any) -> str:
    origin = typing.get_origin(annotation) or annotation
    if origin in _KINDS:
        return _KINDS[origin]
    if values := _values(annotation):
        return listed(values, "or")
    if is_arguments_class(origin):
        return f"an object with {_names(arguments_of(origin))}"
    return "a map" if issubclass(origin, Mapping) else "a list"


_KINDS: Final[dict[Any, str]] = {
    str: "a string",
    bool: "true or false",
    int: "a number",
    float: "a number",
    pulumi.Asset: "an asset (pulumi.FileAsset or StringAsset)",
    pulumi.Archive: "an archive (pulumi.FileArchive or AssetArchive)",
}


def _shown(value: Any, *, secret: bool) -> str:
    """Show a value in a message: shortened, and a secret only by its kind."""
    if compound := _compound_text(value):
        return compound
    if secret:
        return "a secret string" if isinstance(value, str) else "a secret that is no string"
    text = f"{value:g}" if isinstance(value, float) else repr(value)
    text = {"True": "true", "False": "false", "None": "null"}.get(text, text)
    return shortened(text)


def _compound_text(value: Any) -> str:
    """Name the kind of a value that isn't shown itself; empty for a plain one."""
    if isinstance(value, Mapping):
        kinds = {ASSET: "an asset", ARCHIVE: "an archive", RESOURCE: "a resource"}
        return kinds.get(cast("Any", value).get(SIGNATURE), "a map")
    if isinstance(value, (pulumi.Asset, pulumi.Archive)):
        return "an archive" if isinstance(value, pulumi.Archive) else "an asset"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "a list"
    return "a resource" if isinstance(value, pulumi.Resource) else ""


def _suggestion(name: str, arguments: Mapping[str, Any]) -> str:
    """Name the arguments that exist, all where they are few, the nearest where they are many."""
    if len(arguments) <= 5:
        return f"; there {'is' if len(arguments) == 1 else 'are'} {listed(arguments)}" if arguments else ""
    return nearest(_camel(name), arguments)


def _names(arguments: Mapping[str, Argument]) -> str:
    """Name an object's required arguments, or all of them where they are few."""
    required = [name for name, argument in arguments.items() if argument.required]
    if len(arguments) <= 5 or not required:
        return listed(list(arguments)[:5])
    return listed(required)


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part[:1].upper() + part[1:] for part in rest)


def _joined(path: str, key: str) -> str:
    if not path:
        return key
    return f"{path}.{key}" if key.replace("_", "").replace("-", "").isalnum() else f"{path}[{key!r}]"
