"""What the provider's SDK says of a resource type: its class, its arguments and its outputs."""

import functools
import importlib
import inspect
import types
import typing
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, cast

import pulumi
from pulumi.runtime import rpc

from pulumi_llm_local.aws_types.wording import listed, nearest

PACKAGES: Final = {"aws": "pulumi_aws", "kubernetes": "pulumi_kubernetes"}
"""The packages whose resources have a class to check against, and the Python distribution of each."""


def resource_class(token: str) -> type[pulumi.Resource]:
    """Find the SDK class of a resource type, such as `aws:lambda/function:Function` or `pulumi:providers:aws`.

    Raises:
        LookupError: The SDK has no such type (the error names the nearest one), its package is not installed, or the
            token is a component's or the stack's.
    """
    package = token.rpartition(":")[2] if token.startswith("pulumi:providers:") else token.partition(":")[0]
    if package not in PACKAGES:
        raise LookupError(f"{token}: no class to check against; only {listed(PACKAGES)} resources and their providers have one")
    known = known_types(package)
    if token not in known:
        raise LookupError(f"{token}: {PACKAGES[package]} has no such resource{nearest(token, known)}")
    module, name = known[token]
    with warnings.catch_warnings():  # the SDK warns of its own deprecated classes as it defines them
        warnings.simplefilter("ignore", DeprecationWarning)
        return cast("type[pulumi.Resource]", getattr(importlib.import_module(module), name))


def takes(token: str, name: str) -> bool:
    """Say whether a resource type has an argument of that (camelCase) name. Raises LookupError as `resource_class` does."""
    return name in arguments_of(arguments_class(token))


@functools.cache
def output_names(token: str) -> frozenset[str]:
    """Name the outputs of a resource type, in camelCase. Raises LookupError as `resource_class` does."""
    outputs: dict[str, Any] = {}
    for base in reversed(resource_class(token).__mro__):
        outputs.update(vars(base))
    getters = (cast("Any", output).fget for output in outputs.values() if isinstance(output, property))
    return frozenset(name for getter in getters if (name := getattr(getter, "_pulumi_name", None)))


@dataclass(frozen=True)
class Argument:
    """What the SDK's class says of one argument."""

    types: tuple[Any, ...]
    """The types that the argument takes, any of them; Input, Output, Optional and TypedDict are gone."""
    required: bool


@functools.cache
def known_types(package: str) -> dict[str, tuple[str, str]]:
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
def arguments_class(token: str) -> type:
    """Find the `…Args` class of a resource type: the one that an overload of its constructor takes.

    Raises LookupError as `resource_class` does.
    """
    resource = resource_class(token)
    for overload in typing.get_overloads(resource.__init__):
        annotation = inspect.get_annotations(overload).get("args")
        for member in members(annotation):
            if is_arguments_class(member):
                return member
    raise LookupError(f"{resource.__module__}.{resource.__name__} has no class of arguments")


def requires(token: str, name: str) -> bool:
    """Say whether a resource type's class demands an argument."""
    argument = arguments_of(arguments_class(token)).get(name)
    return argument is not None and argument.required


@functools.cache
def arguments_of(cls: type) -> dict[str, Argument]:
    """Map the camelCase names of a class's arguments to what each takes."""
    names = {
        python_name: cast("str", getattr(member.fget, "_pulumi_name", python_name))
        for python_name, member in inspect.getmembers(cls, lambda member: isinstance(member, property))
    }
    initializer = cast("Any", cls).__init__
    hints = typing.get_type_hints(initializer, localns={"Output": pulumi.Output, "T": type(None)})
    return {
        names.get(parameter.name, parameter.name): Argument(
            tuple(members(hints.get(parameter.name, Any))), required=parameter.default is parameter.empty
        )
        for parameter in list(inspect.signature(initializer).parameters.values())[1:]
    }


def members(annotation: Any) -> Iterator[Any]:
    """List the types that an annotation stands for: the members of unions, without the wrappers of an Input."""
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType):
        for member in typing.get_args(annotation):
            yield from members(member)
    elif annotation is not None and annotation is not type(None) and not _is_wrapper(annotation):
        yield annotation


def _is_wrapper(annotation: Any) -> bool:
    """Say whether a union's member only repeats another one: as an Output, awaited, or as a TypedDict."""
    if isinstance(annotation, typing.ForwardRef):
        return annotation.__forward_arg__.startswith("Output[")
    origin = typing.get_origin(annotation) or annotation
    return typing.is_typeddict(origin) or (inspect.isclass(origin) and issubclass(origin, (pulumi.Output, typing.Awaitable)))


def is_arguments_class(annotation: Any) -> bool:
    return inspect.isclass(annotation) and hasattr(annotation, "_pulumi_input_type")
