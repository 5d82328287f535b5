"""The base of every component: names and options of children, tags, every output registered."""

import difflib
import inspect
from collections.abc import Callable
from typing import Any, cast

import pulumi

from pulumi_llm.base.lazy_modules import load_lazy_modules
from pulumi_llm.base.settings import Customize, Tags


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
        tags: Tags,
        customize: Customize,
    ) -> None:
        load_lazy_modules(type(self).__module__)
        super().__init__(f"llm:index:{type(self).__name__}", name, {}, opts)
        self._name = name
        self._customize = customize
        self.tags: dict[str, pulumi.Input[str]] = {"Component": f"{type(self).__name__}/{name}", **tags}

    def child_name(self, key: str) -> str:
        if key not in self.CHILDREN:
            raise AssertionError(f"{type(self).__name__}.CHILDREN lacks {key!r}")
        return f"{self._name}-{key}"

    def child(self, key: str, *, depends_on: list[pulumi.Resource] | None = None, **options: Any) -> pulumi.ResourceOptions:
        """The options of a child: this parent, and the changes that `customize` has for its key."""
        changes = self._customize.get(key, {})

        def change(args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult:
            known = argument_names(type(args.resource))
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

    def invoke_options(self) -> pulumi.InvokeOptions:
        """An invoke asks the same provider as the children."""
        return pulumi.InvokeOptions(parent=self)

    def finish(self) -> None:
        """Register every output that the class declares."""
        self.register_outputs({name: getattr(self, name) for name in output_names(type(self))})


def argument_names(kind: type[pulumi.Resource]) -> list[str]:
    """The arguments that the class of an AWS resource takes."""
    initializer = cast("Callable[..., None]", kind._internal_init)  # pyright: ignore
    return [name for name in inspect.signature(initializer).parameters if name not in _NO_ARGUMENTS]


# What a resource's constructor takes besides its arguments.
_NO_ARGUMENTS = ("__self__", "self", "resource_name", "opts", "__props__")


def output_names(kind: type[Component]) -> list[str]:
    """The declared outputs of a component class: its annotations of type Output."""
    return [name for name, annotation in kind.__annotations__.items() if "Output[" in str(annotation)]
