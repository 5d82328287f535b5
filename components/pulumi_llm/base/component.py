"""The base of every component: names and options of children, tags, every output registered."""

from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any, Self, cast

import pulumi

from pulumi_llm.base.customize import INSTANCE, merged
from pulumi_llm.base.inputs import properties_error
from pulumi_llm.base.lazy_modules import load, load_lazy_modules
from pulumi_llm.base.problems import Problem
from pulumi_llm.base.settings import Customize
from pulumi_llm.base.tags import OWN_TAG


class Component(pulumi.ComponentResource):
    """A component ``llm:index:<class name>``. Its children are named ``<name>-<key>``; `CHILDREN` lists the keys.

    A subclass checks its arguments before it calls this constructor, makes its children with ``opts=self.child(key)`` and
    ``tags=self.tags``, sets each annotated output and calls `finish`.
    """

    # The types of the children by their keys. Without an annotation, for Pulumi's analyzer takes every annotation of a
    # component for an output.
    CHILDREN = cast("Mapping[str, type[pulumi.Resource]]", {})

    def __new__(cls, *given: Any, **named: Any) -> Self:
        """Check the call itself. Raises `pulumi.InputPropertiesError`, as for arguments that are wrong."""
        if given or named:  # a copy is made without any
            _check_call(cls, given, named)
        return super().__new__(cls)

    def __init__(
        self,
        name: str,
        opts: pulumi.ResourceOptions | None,
        tags: Mapping[str, pulumi.Input[str]],
        customize: Customize,
    ) -> None:
        load_lazy_modules(type(self).__module__)
        super().__init__(f"llm:index:{type(self).__name__}", name, {}, opts)
        self._name = name
        self._customize = customize
        # Pulumi lets only the component itself wait for them, and not its children.
        self._waited_for = pulumi.ResourceOptions(depends_on=opts.depends_on if opts else None)
        self.tags: dict[str, pulumi.Input[str]] = {OWN_TAG: f"{type(self).__name__}/{name}", **tags}

    def child_name(self, key: str) -> str:
        if key not in self.CHILDREN:
            raise AssertionError(f"{type(self).__name__}.CHILDREN lacks {key!r}")
        return f"{self._name}-{key}"

    def child(self, key: str, *, depends_on: list[pulumi.Resource] | None = None, **options: Any) -> pulumi.ResourceOptions:
        """The options of a child: this parent, what the component depends on, and the changes of `customize` for its key.

        Where several children have the key, ``key:rest`` changes the one whose name goes on with that rest.
        """
        changes = {name: change for name, change in self._customize.items() if name.partition(INSTANCE)[0] == key}
        first = self.child_name(key)

        def change(args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult:
            instance = f"{key}{INSTANCE}{args.name.removeprefix(first).removeprefix('-')}"
            props = dict(args.props)
            for name in (key, instance):
                props = merged(self.CHILDREN[key], props, changes.get(name, {}), f"customize.{name}")
            return pulumi.ResourceTransformationResult(props, args.opts)

        own = pulumi.ResourceOptions(
            parent=self, depends_on=depends_on, transformations=[change] if changes else None, **options
        )
        return own if self._waited_for.depends_on is None else pulumi.ResourceOptions.merge(self._waited_for, own)

    def invoke_options(self) -> pulumi.InvokeOptions:
        """An invoke asks the same provider as the children."""
        return pulumi.InvokeOptions(parent=self)

    def finish(self) -> None:
        """Register every output that the class declares."""
        self.register_outputs({name: getattr(self, name) for name in output_names(type(self))})


class Children(Mapping[str, type[pulumi.Resource]]):
    """The types of a component's children by their keys. One that is given by its name in pulumi_aws, such as "s3.Bucket", is
    loaded when it is asked for: not every program with the component makes it."""

    def __init__(self, types: Mapping[str, type[pulumi.Resource] | str]) -> None:
        self._types = dict(types)

    def __getitem__(self, key: str) -> type[pulumi.Resource]:
        found = self._types[key]
        if not isinstance(found, str):
            return found
        name, _, kind = found.partition(".")
        module = import_module(f"pulumi_aws.{name}")
        load(module)
        return getattr(module, kind)

    def __iter__(self) -> Iterator[str]:
        return iter(self._types)

    def __len__(self) -> int:
        return len(self._types)


def _check_call(kind: type[Component], given: Sequence[Any], named: Mapping[str, Any]) -> None:
    parameters = ("name", "args", "opts")
    call = f'{kind.__name__}(NAME, {{"ARGUMENT": VALUE}}, pulumi.ResourceOptions(…))'
    problems = [
        Problem(word, f"is no parameter of the call; the arguments are one mapping: {call}")
        for word in named
        if word not in parameters
    ]
    present = {*parameters[: len(given)], *named}
    missing = [word for word in parameters[:2] if word not in present]
    if missing and not problems:
        problems = [Problem(word, f"is missing in the call: {call}") for word in missing]
    name = given[0] if given else named.get("name", "")
    if not isinstance(name, str):
        problems.append(Problem("name", f"must be a text, the name of the resource: {call}"))
    if problems:
        raise properties_error(kind.__name__, problems)


def output_names(kind: type[Component]) -> list[str]:
    """The declared outputs of a component class: its annotations of type Output."""
    return [name for name, annotation in kind.__annotations__.items() if "Output[" in str(annotation)]
