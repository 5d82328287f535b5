"""Reads the components' descriptions of settings (`pulumi_llm.base.settings`) for what is generated from them."""

import ast
import inspect
import itertools
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

import pulumi

from pulumi_llm.base.settings import Between, Settings


class Setting(NamedTuple):
    """One setting: its key, its annotation, and what is said of it, bounds and default included."""

    key: str
    annotation: Any
    required: bool
    text: str


def settings_of(kind: type[Settings]) -> Iterator[Setting]:
    """Yield the settings of a class, those of its bases first, in the order of their declaration."""
    helps = {name: text for base in reversed(kind.__mro__) for name, text in _helps(base).items()}
    hints = get_type_hints(kind, include_extras=True)
    for name, field in kind.model_fields.items():
        help_ = field.description or helps[name]
        text, _, default = help_.partition("Default: ")
        value = None if field.is_required() else field.get_default(call_default_factory=True)
        if not default and not field.is_required() and "Required" not in text and not _is_heading(value):
            default = f"{_default(value)}."
        parts = [text.strip(), _bounds(hints[name]), f"Default: {default}" if default else ""]
        yield Setting(field.alias or name, hints[name], field.is_required(), " ".join(part for part in parts if part))


def _helps(kind: type) -> Mapping[str, str]:
    """The text below each annotated attribute of a class."""
    if not (issubclass(kind, Settings) and kind is not Settings):
        return {}
    body = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0].body  # type: ignore[attr-defined]
    return {
        field.target.id: " ".join(text.value.value.split())
        for field, text in itertools.pairwise(body)
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
    }


def _bounds(annotation: Any) -> str:
    between = _form(annotation).between
    if between is None:
        return ""
    return f"At least {between.low:,}." if between.high is None else f"From {between.low:,} to {between.high:,}."


class _Form(NamedTuple):
    """An annotation without what wraps its type: bounds, None, and the Output that may stand in its place."""

    type: Any
    takes_output: bool = False
    between: Between | None = None


def _form(annotation: Any) -> _Form:
    if get_origin(annotation) is Annotated:
        form = _form(annotation.__origin__)
        return form._replace(
            between=next((item for item in annotation.__metadata__ if isinstance(item, Between)), form.between)
        )
    if get_origin(annotation) in (Union, UnionType):
        outputs, others = [], []
        for member in get_args(annotation):
            (outputs if get_origin(member) is pulumi.Output else others).append(member)
        form = _form(next(member for member in others if member is not NoneType))
        return form._replace(takes_output=form.takes_output or bool(outputs))
    return _Form(annotation)


def _is_heading(value: Any) -> bool:
    """Whether a default holds only the defaults of what is in it."""
    return isinstance(value, Settings) and not value.model_fields_set


def _default(value: Any) -> str:
    if isinstance(value, Settings):
        return ", ".join(f"{name} {_default(getattr(value, name))}" for name in sorted(value.model_fields_set, reverse=True))
    if isinstance(value, str):
        return f'"{value}"' if value else "none"
    if isinstance(value, bool) or value in (None, ()):
        return str(value).lower() if isinstance(value, bool) else "none"
    return f"{value:,}".removesuffix(".0") if isinstance(value, int | float) else str(value)


# The TypedDicts of a component's arguments, as Pulumi's analyzer reads them.


def packages_of(roots: Iterable[type[Settings]]) -> list[str]:
    """The packages of `pulumi_llm` whose settings the arguments of components hold, the components' own included."""
    return sorted({_package(kind) for root in roots for kind in _held(root)})


def typed_dicts(package: str, roots: Iterable[type[Settings]]) -> str:
    """The module of TypedDicts for the settings of a package: of those that the components' arguments hold.

    Several components share some. Pulumi's analyzer takes a name from one module only, so each stands in its own package.
    """
    kinds = list(dict.fromkeys(kind for root in roots for kind in _held(root) if _package(kind) == package))
    classes = [_typed_dict(kind) for kind in kinds]
    code = "\n\n\n".join(classes)
    names = [name for name in ("Any", "NotRequired", "TypedDict") if name in code]
    collections = [name for name in ("Mapping", "Sequence") if f"{name}[" in code]
    imports = [f"from collections.abc import {', '.join(collections)}", f"from typing import {', '.join(names)}"]
    used = {held for kind in kinds for setting in settings_of(kind) for held in nested(setting.annotation)}
    others = {other: sorted(_args_name(kind) for kind in used if _package(kind) == other) for other in map(_package, used)}
    others.pop(package, None)
    shared = [_import(f"pulumi_llm.{other}.args_types", names) for other, names in sorted(others.items())]
    head = '"""The arguments as TypedDicts, for programs and for Pulumi\'s analyzer. Made by `make docs` from args.py."""'
    return "\n\n".join([head, "\n".join(imports), "import pulumi", *(["\n".join(shared)] if shared else []), f"\n{code}\n"])


def _import(module: str, names: list[str]) -> str:
    """The import as ruff formats it."""
    line = f"from {module} import {', '.join(names)}"
    return line if len(line) <= 128 else "\n".join([f"from {module} import (", *(f"    {name}," for name in names), ")"])


def _package(kind: type[Settings]) -> str:
    return kind.__module__.split(".")[1]


def _held(root: type[Settings]) -> list[type[Settings]]:
    """The settings that a component's arguments hold, and the arguments themselves at the end."""
    kinds: list[type[Settings]] = []
    _collect(root, kinds)
    return kinds


def _collect(kind: type[Settings], kinds: list[type[Settings]]) -> None:
    """Each kind after those that it holds, so that no name is used before it is there."""
    for setting in settings_of(kind):
        for held in nested(setting.annotation):
            if held not in kinds:
                _collect(held, kinds)
    kinds.append(kind)


def nested(annotation: Any) -> Iterator[type[Settings]]:
    """Yield the settings that a setting holds."""
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        yield annotation
    for argument in get_args(annotation):
        yield from nested(argument)


def _typed_dict(kind: type[Settings]) -> str:
    lines = [f"class {_args_name(kind)}(TypedDict):", *_docstring(inspect.getdoc(kind) or ""), ""]
    for setting in settings_of(kind):
        text = _type_text(setting.annotation)
        lines.append(f"    {setting.key}: {text if setting.required else f'NotRequired[{text}]'}")
        lines += _docstring(setting.text)
    return "\n".join(lines)


def _docstring(text: str) -> list[str]:
    return textwrap.wrap(f'"""{text}"""', 124, initial_indent="    ", subsequent_indent="    ", break_long_words=False)


def _args_name(kind: type[Settings]) -> str:
    return kind.__name__.removesuffix("Settings") + "Args"


def _type_text(annotation: Any) -> str:
    form = _form(annotation)
    origin, arguments = get_origin(form.type), [_type_text(argument) for argument in _typed_arguments(form.type)]
    if origin in (tuple, Mapping):
        text = f"{'Sequence' if origin is tuple else 'Mapping'}[{', '.join(arguments)}]"
    elif origin is Literal:
        text = "str"
    elif form.type is Any:
        text = "Any"
    else:
        text = _args_name(form.type) if issubclass(form.type, Settings) else form.type.__name__
    return f"pulumi.Input[{text}]" if form.takes_output else text


def _typed_arguments(kind: Any) -> list[Any]:
    return [argument for argument in get_args(kind) if argument is not ...] if get_origin(kind) is not Literal else []


# The table of a stack's settings.


def setting_rows(kind: type[Settings], path: str = "") -> Iterator[tuple[str, str, bool]]:
    """Yield each setting of a stack's file, nested ones below: its path, what is said of it, whether it is required."""
    for setting in settings_of(kind):
        key = f"{path}{setting.key}"
        below = list(nested(setting.annotation))
        if not (below and setting.text == inspect.getdoc(below[0])):  # a heading: what it holds says it all
            yield key, setting.text, setting.required and "Default:" not in setting.text
        for held in below:
            origin = get_origin(_form(setting.annotation).type)
            yield from setting_rows(held, f"{key}{ {tuple: '[]', Mapping: '.*'}.get(origin, '') }.")
