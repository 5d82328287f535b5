"""The base of every component: child names and options, tags, mistakes told all at once, every output registered."""

import difflib
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import pulumi

# Per child, arguments that replace or add to the component's own: {"function": {"memory_size": 1024}}.
Customize = Mapping[str, Mapping[str, Any]]


class Mistakes:
    """Collects what is wrong with a component's arguments, and raises it all as one `InputPropertiesError`."""

    def __init__(self, component: str) -> None:
        self._component = component
        self._errors: list[pulumi.InputPropertyErrorDetails] = []

    def add(self, path: str, reason: str) -> None:
        self._errors.append(pulumi.InputPropertyErrorDetails(property_path=path, reason=reason))

    def paths(self) -> set[str]:
        """Where something is wrong, as far as it is told."""
        return {error["property_path"] for error in self._errors}

    def check(self) -> None:
        if self._errors:
            lines = "".join(f"\n  {error['property_path']}: {error['reason']}" for error in self._errors)
            raise pulumi.InputPropertiesError(f"{self._component} has arguments that are wrong:{lines}", self._errors)


class Component(pulumi.ComponentResource):
    """A component ``llm:index:<class name>``. Its children are named ``<name>-<key>``; `CHILDREN` lists the keys.

    A subclass checks its arguments before it calls this constructor, makes its children with ``opts=self.child(key)`` and
    ``tags=self.tags``, sets each annotated output and calls `finish`.
    """

    # Without an annotation, for Pulumi's analyzer takes every annotation of a component for an output.
    CHILDREN = cast("tuple[str, ...]", ())

    def __init__(
        self,
        name: str,
        opts: pulumi.ResourceOptions | None,
        tags: Mapping[str, pulumi.Input[str]] | None,
        customize: Customize | None,
    ) -> None:
        super().__init__(f"llm:index:{type(self).__name__}", name, {}, opts)
        self._name = name
        self._customize = customize or {}
        self.tags: dict[str, pulumi.Input[str]] = {"Component": f"{type(self).__name__}/{name}", **(tags or {})}

    def child_name(self, key: str) -> str:
        if key not in self.CHILDREN:
            raise AssertionError(f"{type(self).__name__}.CHILDREN lacks {key!r}")
        return f"{self._name}-{key}"

    def child(self, key: str, *, depends_on: list[pulumi.Resource] | None = None, **options: Any) -> pulumi.ResourceOptions:
        """The options of a child: this parent, and the changes that `customize` has for its key."""
        changes = self._customize.get(key, {})

        def change(args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult:
            initializer = cast("Callable[..., None]", type(args.resource)._internal_init)  # pyright: ignore
            known = [name for name in inspect.signature(initializer).parameters if name not in _NO_ARGUMENTS]
            for argument in changes:
                if argument not in known:
                    near = difflib.get_close_matches(argument, known, n=1)
                    hint = f"; did you mean {near[0]!r}?" if near else ""
                    reason = f"{type(args.resource).__name__} has no such argument{hint}"
                    path = f"customize.{key}.{argument}"
                    details = pulumi.InputPropertyErrorDetails(property_path=path, reason=reason)
                    raise pulumi.InputPropertiesError(f"{path}: {reason}", [details])
            return pulumi.ResourceTransformationResult({**args.props, **changes}, args.opts)

        return pulumi.ResourceOptions(
            parent=self, depends_on=depends_on, transformations=[change] if changes else None, **options
        )

    def customized(self, *keys: str) -> dict[str, Mapping[str, Any]]:
        """What `customize` changes of these children."""
        return {key: self._customize[key] for key in keys if key in self._customize}

    def invoke_options(self) -> pulumi.InvokeOptions:
        """An invoke asks the same provider as the children."""
        return pulumi.InvokeOptions(parent=self)

    def finish(self) -> None:
        """Register every output that the class declares."""
        self.register_outputs({name: getattr(self, name) for name in output_names(type(self))})


# What a resource's constructor takes besides its arguments.
_NO_ARGUMENTS = ("__self__", "self", "resource_name", "opts", "__props__")


def output_names(kind: type[Component]) -> list[str]:
    """The declared outputs of a component class: its annotations of type Output."""
    return [name for name, annotation in kind.__annotations__.items() if "Output[" in str(annotation)]


def check_customize(mistakes: Mistakes, customize: Customize | None, children: Sequence[str]) -> None:
    """Report every key of `customize` that is no child of the component."""
    for key in customize or {}:
        if key not in children:
            mistakes.add(f"customize.{key}", f"is no child of this component; {hint(key, children)}")


def check_keys(mistakes: Mistakes, value: Mapping[str, Any], kind: type, path: str = "") -> bool:
    """Report every key that the TypedDict `kind` does not have, and every required one that is missing.

    True where the value can be read: nothing that is required is missing.
    """
    required = cast("frozenset[str]", kind.__required_keys__)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    known = sorted(required | cast("frozenset[str]", kind.__optional_keys__))  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    for key in value:
        if key not in known:
            mistakes.add(f"{path}{key}", f"is not known; {hint(key, known)}")
    missing = sorted(required - set(value))
    for key in missing:
        mistakes.add(f"{path}{key}", "is required, but not given")
    return not missing


def hint(name: str, known: Sequence[str]) -> str:
    """What would be right in the place of a name that is not known."""
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
