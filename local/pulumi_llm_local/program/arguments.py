"""Holds the arguments of a resource against its class in the provider's SDK.

A program under mocks, or against stand-in providers, is checked by nobody: a misspelled argument is simply sent and
lost. This module reads what the generated class of the resource's type says about its arguments (names, types, which
are required, nested to any depth) and tells what a resource's inputs have wrong.

The inputs are taken as the engine gets them: camelCase keys, every number a float, secrets, unknowns, assets and
archives either as objects or as the dictionaries that stand for them on the wire.
"""

import difflib
import enum
import functools
import importlib
import inspect
import json
import types
import typing
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

import pulumi
from pulumi.runtime import rpc

UNKNOWN: Final = rpc.UNKNOWN
"""The text that stands for an unknown value in a preview."""

SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
"""The key whose value tells what a dictionary on the wire stands for."""
SECRET: Final = "1b47061264138c4ac30d75fd1eb44270"
OUTPUT_VALUE: Final = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
RESOURCE: Final = "5cf8f73096256a8f31e491e813e4eb8e"
ASSET: Final = "c44067f5952c0a294b673a41bacd8c17"
ARCHIVE: Final = "0def7320c3a5731c473e5ecbe6d01bc7"

PACKAGES: Final = {"aws": "pulumi_aws", "kubernetes": "pulumi_kubernetes"}
"""The packages whose resources have a class to check against, and the Python distribution of each."""


def problems(token: str, inputs: Mapping[str, Any]) -> list[str]:
    """Tell what is wrong with a resource's inputs, one line a problem, each naming the type and the property's path.

    `token` is the resource's type, such as `aws:lambda/function:Function` or `pulumi:providers:aws`. A Kubernetes
    custom resource has no class: of it only `apiVersion`, `kind` and `metadata` are checked.

    Raises LookupError where there is nothing to check against: the SDK has no such type (the error names the nearest
    one), its package is not installed, or the token is a component's or the stack's.
    """
    if token.startswith("pulumi:providers:"):
        arguments_class = _arguments_class(resource_class(token))
        inputs = _decoded_provider_inputs(arguments_class, inputs)
    elif _is_custom_kubernetes_resource(token):
        return [f"{token}: {problem}" for problem in _custom_resource_problems(token, inputs)]
    else:
        arguments_class = _arguments_class(resource_class(token))
    return [f"{token}: {problem}" for problem in _object_problems(arguments_class, inputs, "", secret=False)]


def resource_class(token: str) -> type[pulumi.Resource]:
    """Find the SDK class of a resource type. Raises LookupError as `problems` does."""
    package = token.rpartition(":")[2] if token.startswith("pulumi:providers:") else token.partition(":")[0]
    if package not in PACKAGES:
        raise LookupError(
            f"{token}: no class to check against; only {_listed(PACKAGES)} resources and their providers have one"
        )
    known = _known_types(package)
    if token not in known:
        raise LookupError(f"{token}: {PACKAGES[package]} has no such resource{_nearest(token, known)}")
    module, name = known[token]
    with warnings.catch_warnings():  # the SDK warns of its own deprecated classes as it defines them
        warnings.simplefilter("ignore", DeprecationWarning)
        return cast("type[pulumi.Resource]", getattr(importlib.import_module(module), name))


def takes(token: str, name: str) -> bool:
    """Say whether a resource type has an argument of that (camelCase) name. Raises LookupError as `problems` does."""
    return name in _arguments(_arguments_class(resource_class(token)))


def unwrapped(value: Any) -> tuple[Any, bool]:
    """Take a value out of its wrapping; also say whether it was a secret."""
    secret = False
    while isinstance(value, Mapping):
        wrapped = cast("Mapping[str, Any]", value)
        if wrapped.get(SIGNATURE) not in (SECRET, OUTPUT_VALUE):
            return wrapped, secret
        secret = secret or wrapped[SIGNATURE] == SECRET or bool(wrapped.get("secret"))
        value = wrapped.get("value", UNKNOWN)
    if isinstance(value, (pulumi.output.Unknown, pulumi.Output)) or inspect.isawaitable(value):
        return UNKNOWN, secret
    return value, secret


def revealed(value: Any) -> Any:
    """Take a value, and all within it, out of secrets' and outputs' wrapping; an unknown becomes the text `UNKNOWN`."""
    plain, _ = unwrapped(value)
    if isinstance(plain, Mapping):
        return {key: revealed(item) for key, item in cast("Mapping[str, Any]", plain).items()}
    if isinstance(plain, (list, tuple)):
        return [revealed(item) for item in cast("Sequence[Any]", plain)]
    return plain


# What a class says about its arguments.


@dataclass(frozen=True)
class _Argument:
    types: tuple[Any, ...]
    """The types that the argument takes, any of them; Input, Output, Optional and TypedDict are gone."""
    required: bool


@functools.cache
def _known_types(package: str) -> dict[str, tuple[str, str]]:
    """Map each type of a package to its module and class, as the SDK registers them when it is imported."""
    try:
        importlib.import_module(PACKAGES[package])
    except ModuleNotFoundError as error:
        raise LookupError(
            f"{PACKAGES[package]} is not installed, so that {package} resources can't be checked: {error}"
        ) from error
    # The SDK's registry has no public reader that lists what it holds.
    registered: dict[str, list[Any]] = vars(rpc)["_RESOURCE_MODULES"]
    known = {f"pulumi:providers:{package}": (PACKAGES[package], "Provider")}
    for module in (module for modules in registered.values() for module in modules):
        info: Any = getattr(module, "mod_info", None)
        if info is not None and info["pkg"] == package:
            known.update({token: (info["fqn"], name) for token, name in info["classes"].items()})
    return known


@functools.cache
def _arguments_class(resource: type[pulumi.Resource]) -> type:
    """Find the `…Args` class of a resource: the one that an overload of its constructor takes."""
    for overload in typing.get_overloads(resource.__init__):
        annotation = inspect.get_annotations(overload).get("args")
        for member in _members(annotation):
            if _is_arguments_class(member):
                return member
    raise LookupError(f"{resource.__module__}.{resource.__name__} has no class of arguments")


@functools.cache
def _arguments(arguments_class: type) -> dict[str, _Argument]:
    """Map the camelCase names of a class's arguments to what each takes."""
    names = {
        python_name: cast("str", getattr(member.fget, "_pulumi_name", python_name))
        for python_name, member in inspect.getmembers(arguments_class, lambda member: isinstance(member, property))
    }
    initializer = cast("Any", arguments_class).__init__
    hints = typing.get_type_hints(initializer, localns={"Output": pulumi.Output, "T": type(None)})
    return {
        names.get(parameter.name, parameter.name): _Argument(
            tuple(_members(hints.get(parameter.name, Any))), required=parameter.default is parameter.empty
        )
        for parameter in list(inspect.signature(initializer).parameters.values())[1:]
    }


def _members(annotation: Any) -> Iterator[Any]:
    """List the types that an annotation stands for: the members of unions, without the wrappers of an Input."""
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType):
        for member in typing.get_args(annotation):
            yield from _members(member)
    elif annotation is not None and annotation is not type(None) and not _is_wrapper(annotation):
        yield annotation


def _is_wrapper(annotation: Any) -> bool:
    """Say whether a union's member only repeats another one: as an Output, awaited, or as a TypedDict."""
    if isinstance(annotation, typing.ForwardRef):
        return annotation.__forward_arg__.startswith("Output[")
    origin = typing.get_origin(annotation) or annotation
    return typing.is_typeddict(origin) or (inspect.isclass(origin) and issubclass(origin, (pulumi.Output, typing.Awaitable)))


def _is_arguments_class(annotation: Any) -> bool:
    return inspect.isclass(annotation) and hasattr(annotation, "_pulumi_input_type")


# Values against types. Each function yields "path: problem" lines.


def _object_problems(arguments_class: type, value: Mapping[str, Any], path: str, *, secret: bool) -> Iterator[str]:
    arguments = _arguments(arguments_class)
    for key, item in value.items():
        if key.startswith("__"):  # the engine's own notes, such as __defaults
            continue
        if key not in arguments:
            yield f"{_joined(path, key)}: no such argument{_suggestion(key, arguments)}"
        elif item is not None:
            yield from _value_problems(arguments[key].types, item, _joined(path, key), secret=secret)
    for key, argument in arguments.items():
        if argument.required and value.get(key) is None:
            yield f"{_joined(path, key)}: required, but missing"


def _value_problems(accepted: Sequence[Any], value: Any, path: str, *, secret: bool) -> list[str]:
    """Hold a value against the types it may have; where it fits none, tell what misses the nearest one."""
    value, concealed = unwrapped(value)
    secret = secret or concealed
    if value == UNKNOWN or not accepted or Any in accepted:
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
        elif _is_arguments_class(origin) or issubclass(origin, Mapping):
            fits = isinstance(value, Mapping) and signature is None
        elif issubclass(origin, Sequence):
            fits = isinstance(value, Sequence) and not isinstance(value, (str, bytes))
    return fits


def _inner_problems(annotation: Any, value: Any, path: str, *, secret: bool) -> Iterator[str]:
    """Check what a value of the right kind holds."""
    origin = typing.get_origin(annotation) or annotation
    if _is_arguments_class(origin):
        yield from _object_problems(origin, value, path, secret=secret)
    elif isinstance(value, Mapping):
        items = tuple(_members((typing.get_args(annotation) or (str, Any))[1]))
        for key, item in cast("Mapping[str, Any]", value).items():
            if item is not None:
                yield from _value_problems(items, item, _joined(path, key), secret=secret)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        items = tuple(_members((typing.get_args(annotation) or (Any,))[0]))
        for index, item in enumerate(cast("Sequence[Any]", value)):
            if item is not None:
                yield from _value_problems(items, item, f"{path}[{index}]", secret=secret)
    elif origin is int and isinstance(value, float) and not value.is_integer():
        yield f"{path}: must be a whole number, not {_shown(value, secret=secret)}"
    elif (values := _values(annotation)) and value not in values:
        yield f"{path}: must be {_listed(values, 'or')}, not {_shown(value, secret=secret)}"


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
        argument = _arguments(arguments_class).get(key)
        decoded[key] = value
        if isinstance(plain, str) and plain != UNKNOWN and argument and str not in argument.types:
            try:
                decoded[key] = json.loads(plain)
            except ValueError:
                continue  # the check tells that it is a string
    return decoded


def _is_custom_kubernetes_resource(token: str) -> bool:
    """Say whether a type belongs to an API group (a name with a dot) that the Kubernetes SDK doesn't have."""
    package, _, group = token.split("/", maxsplit=1)[0].partition(":")
    if package != "kubernetes" or "." not in group or token.count(":") != 2:
        return False
    return not any(known.startswith(f"kubernetes:{group}/") for known in _known_types("kubernetes"))


def _custom_resource_problems(token: str, inputs: Mapping[str, Any]) -> Iterator[str]:
    _, api_version, kind = token.split(":")
    for key, wanted in {"apiVersion": api_version, "kind": kind}.items():
        if inputs.get(key) != wanted:
            yield f"{key}: must be {wanted!r}, not {_shown(inputs.get(key), secret=False)}"
    metadata = _arguments(_arguments_class(resource_class("kubernetes:core/v1:ConfigMap")))["metadata"]
    if inputs.get("metadata") is not None:
        yield from _value_problems(metadata.types, inputs["metadata"], "metadata", secret=False)


# Words.


def _kind_text(annotation: Any) -> str:
    origin = typing.get_origin(annotation) or annotation
    if origin in _KINDS:
        return _KINDS[origin]
    if values := _values(annotation):
        return _listed(values, "or")
    if _is_arguments_class(origin):
        return f"an object with {_names(_arguments(origin))}"
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
    return text if len(text) <= 60 else f"{text[:57]}…{text[0]}"


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
        return f"; there {'is' if len(arguments) == 1 else 'are'} {_listed(arguments)}" if arguments else ""
    return _nearest(_camel(name), arguments)


def _nearest(name: str, names: Iterable[str]) -> str:
    found = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return f"; did you mean {found[0]!r}?" if found else ""


def _names(arguments: Mapping[str, _Argument]) -> str:
    """Name an object's required arguments, or all of them where they are few."""
    required = [name for name, argument in arguments.items() if argument.required]
    if len(arguments) <= 5 or not required:
        return _listed(list(arguments)[:5])
    return _listed(required)


def _listed(items: Iterable[Any], conjunction: str = "and") -> str:
    *rest, last = [repr(item) for item in items] or ["nothing"]
    return f"{', '.join(rest)} {conjunction} {last}" if rest else last


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part[:1].upper() + part[1:] for part in rest)


def _joined(path: str, key: str) -> str:
    if not path:
        return key
    return f"{path}.{key}" if key.replace("_", "").replace("-", "").isalnum() else f"{path}[{key!r}]"
