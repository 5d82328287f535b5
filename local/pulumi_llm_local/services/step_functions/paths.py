"""How a state takes its input and makes its output: paths, payload templates and ResultPath.

https://states-language.net/spec.html#data
https://docs.aws.amazon.com/step-functions/latest/dg/concepts-input-output-filtering.html

Not played: paths that find several values or none (wildcards, filters, slices), names in brackets, and intrinsic functions.
"""

import re
from collections.abc import Mapping
from typing import Any, Final, cast

from pulumi_llm_local.services.step_functions.errors import RESULT_PATH, RUNTIME, DefinitionError, StateError

_PATH: Final = re.compile(r"\$\$?(\.[A-Za-z_][\w-]*|\[\d+\])*")
_REFERENCE_PATH: Final = re.compile(r"\$(\.[A-Za-z_][\w-]*)*")
_STEP: Final = re.compile(r"\.([\w-]+)|\[(\d+)\]")


def check_path(path: Any) -> None:
    """Raises `DefinitionError` for a path that is none, or is not played."""
    if not isinstance(path, str) or not _PATH.fullmatch(path):
        raise DefinitionError(f"the path {path!r} is none, or is not played")


def check_result_path(path: Any) -> None:
    """Raises `DefinitionError` for a ResultPath that is none, or is not played."""
    if path is not None and (not isinstance(path, str) or not _REFERENCE_PATH.fullmatch(path)):
        raise DefinitionError(f"the result path {path!r} is none, or is not played")


def check_template(template: Any) -> None:
    """Raises `DefinitionError` for a payload template with something that is not played."""
    if isinstance(template, Mapping):
        for name, value in cast("Mapping[str, Any]", template).items():
            if name.endswith(".$"):
                check_path(value)
            else:
                check_template(value)
    elif isinstance(template, list):
        for each in cast("list[Any]", template):
            check_template(each)


def has(path: str, data: Any, context: Mapping[str, Any]) -> bool:
    """Tell whether there is a value at a path."""
    try:
        value_at(path, data, context)
    except StateError:
        return False
    return True


def value_at(path: str, data: Any, context: Mapping[str, Any]) -> Any:
    """Return the value at a path: of a state's data, or with "$$" of the execution's context.

    Raises:
        StateError: There is none: the execution fails, and no catcher takes it.
    """
    value: Any = context if path.startswith("$$") else data
    for name, index in _STEP.findall(path):
        if name and isinstance(value, Mapping) and name in value:
            value = cast("Mapping[str, Any]", value)[name]
        elif index and isinstance(value, list) and int(index) < len(cast("list[Any]", value)):
            value = cast("list[Any]", value)[int(index)]
        else:
            raise StateError(RUNTIME, f"The JSONPath '{path}' could not be found in the input")
    return value


def filtered(path: str | None, data: Any, context: Mapping[str, Any]) -> Any:
    """Apply an InputPath or an OutputPath, which is null for an empty object."""
    return {} if path is None else value_at(path, data, context)


def rendered(template: Any, data: Any, context: Mapping[str, Any]) -> Any:
    """Return what a payload template makes: a field whose name ends in ".$" has the value at its path.

    Raises:
        StateError: There is none.
    """
    if isinstance(template, Mapping):
        made: dict[str, Any] = {}
        for name, value in cast("Mapping[str, Any]", template).items():
            if name.endswith(".$"):
                made[name.removesuffix(".$")] = value_at(value, data, context)
            else:
                made[name] = rendered(value, data, context)
        return made
    if isinstance(template, list):
        return [rendered(each, data, context) for each in cast("list[Any]", template)]
    return template


def with_result(path: str | None, data: Any, result: Any) -> Any:
    """Put a state's result into its data, as ResultPath says: in the place of all ("$"), into a field, or nowhere (null).

    Raises:
        StateError: The data has no place for it.
    """
    if path is None:
        return data
    names = path.split(".")[1:]
    if not names:
        return result
    if not isinstance(data, Mapping):
        raise StateError(RESULT_PATH, f"Unable to apply step '{names[0]}' to input")
    fields = cast("Mapping[str, Any]", data)
    inner = with_result(".".join(["$", *names[1:]]), fields.get(names[0], {}), result)
    return {**fields, names[0]: inner}
