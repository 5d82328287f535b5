"""The components, served to programs in every Pulumi language. The engine starts this file: docs/other-languages.md.

It does what Pulumi's own `component_provider_host` does not (pulumi 3.250): there whole numbers stay the floats that they are
on the wire, an Output for a whole number fails, arguments that are wrong end in a traceback, and those not known are dropped.
"""

import inspect
import re
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pulumi
from pulumi.output import Unknown
from pulumi.provider.experimental.analyzer import ComponentDefinition, PropertyDefinition, PropertyType
from pulumi.provider.experimental.component import ComponentProvider
from pulumi.provider.provider import ConstructResult
from pulumi.provider.server import ComponentInitError, main

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "components"), str(ROOT / "lambda_src")]

import pulumi_llm  # noqa: E402
from pulumi_llm.base.component import Component  # noqa: E402
from pulumi_llm.base.settings import hint  # noqa: E402

# Pulumi's generator joins the two with "_": without a namespace the Python SDK would be `pulumi_llm`, the package's own name.
NAME, NAMESPACE = "llm", "pulumi-llm"

Mistakes = list[pulumi.InputPropertyErrorDetails]

_KINDS: dict[PropertyType, tuple[type | tuple[type, ...], str]] = {
    PropertyType.STRING: (str, "a string"),
    PropertyType.INTEGER: (int, "a whole number"),
    PropertyType.NUMBER: ((int, float), "a number"),
    PropertyType.BOOLEAN: (bool, "true or false"),
    PropertyType.ARRAY: (list, "a list"),
    PropertyType.OBJECT: (dict, "an object"),
}


def provider() -> "ComponentServer":
    """Serves every component that the package exports."""
    exported = [getattr(pulumi_llm, name) for name in pulumi_llm.__all__]
    components = [value for value in exported if inspect.isclass(value) and issubclass(value, Component)]
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    return ComponentServer(list(components), NAME, NAMESPACE, version)


class ComponentServer(ComponentProvider):
    """Takes arguments in the schema's names, and tells in these all that is wrong with them."""

    def construct(
        self, name: str, resource_type: str, inputs: pulumi.Inputs, options: pulumi.ResourceOptions | None = None
    ) -> ConstructResult:
        try:
            return super().construct(name, resource_type, inputs, options)
        except ComponentInitError as error:
            if isinstance(error.inner, pulumi.InputPropertiesError):
                raise self._in_schema_names(resource_type.rpartition(":")[2], error.inner) from error
            raise

    def _in_schema_names(self, component: str, error: pulumi.InputPropertiesError) -> pulumi.InputPropertiesError:
        """What a component says of its arguments, these named as a caller in another language does.

        What is in `customize` has Python's names there too.
        """
        mappings = [self._component_defs[component].inputs_mapping]
        mappings += [definition.properties_mapping for definition in self._type_defs.values()]
        names = {name: schema_name for mapping in mappings for schema_name, name in mapping.items() if name != schema_name}
        pattern = re.compile(rf"\b({'|'.join(names)})\b")

        def translated(text: str) -> str:
            return pattern.sub(lambda found: names[found[1]], text)

        mistakes: Mistakes = []
        for details in error.errors or ():
            path, reason = details["property_path"], details["reason"]
            own = path.startswith("customize.")
            mistakes.append(_mistake(path, reason) if own else _mistake(translated(path), translated(reason)))
        return _all_at_once(component, mistakes)

    def map_inputs(self, inputs: pulumi.Inputs, component_def: ComponentDefinition) -> pulumi.Inputs:
        mistakes: Mistakes = []
        mapped = self._object(mistakes, inputs, component_def.inputs, component_def.inputs_mapping, "")
        if mistakes:
            raise _all_at_once(component_def.name, mistakes)
        return mapped

    def _object(
        self,
        mistakes: Mistakes,
        given: Mapping[str, Any],
        properties: Mapping[str, PropertyDefinition],
        names: Mapping[str, str],
        path: str,
    ) -> dict[str, Any]:
        mapped: dict[str, Any] = {}
        for key, value in given.items():
            if value is None:
                continue
            if key in properties:
                mapped[names[key]] = self._value(mistakes, value, properties[key], f"{path}{key}")
            else:
                mistakes.append(_mistake(f"{path}{key}", f"is not known; {hint(key, sorted(properties))}"))
        for key, definition in properties.items():
            if not definition.optional and given.get(key) is None:
                mistakes.append(_mistake(f"{path}{key}", "is required, but not given"))
        return mapped

    def _value(self, mistakes: Mistakes, value: Any, definition: PropertyDefinition, path: str) -> Any:
        reference = self.get_type_definition(definition) if definition.ref else None
        if definition.ref and reference is None:  # any value at all
            return _whole(value)
        if isinstance(value, pulumi.Output | Unknown):
            if definition.plain:
                reason = "must be a plain value, known before anything is made, which an output or a secret is not"
                mistakes.append(_mistake(path, reason))
                return None
            return cast("pulumi.Output[Any]", value).apply(_whole) if isinstance(value, pulumi.Output) else value
        value = _whole(value)
        kind, described = _KINDS[definition.type or PropertyType.OBJECT]
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            mistakes.append(_mistake(path, f"must be {described}, not {value!r}"))
            return None
        if reference is not None:
            fields = cast("dict[str, Any]", value)
            return self._object(mistakes, fields, reference.properties, reference.properties_mapping, f"{path}.")
        if definition.items is not None:
            items = cast("list[Any]", value)
            return [self._value(mistakes, item, definition.items, f"{path}[{index}]") for index, item in enumerate(items)]
        if definition.additional_properties is not None:
            entries = cast("dict[str, Any]", value).items()
            return {key: self._value(mistakes, v, definition.additional_properties, f"{path}.{key}") for key, v in entries}
        return value


def _whole(value: Any) -> Any:
    """A value with whole numbers for the floats that they became on the way."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_whole(item) for item in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {key: _whole(item) for key, item in cast("dict[str, Any]", value).items()}
    return value


def _mistake(path: str, reason: str) -> pulumi.InputPropertyErrorDetails:
    return pulumi.InputPropertyErrorDetails(property_path=path, reason=reason)


def _all_at_once(component: str, mistakes: Mistakes) -> pulumi.InputPropertiesError:
    """The engine lists them below the message, each with the value that was given."""
    return pulumi.InputPropertiesError(f"{component} has arguments that are wrong", mistakes)


if __name__ == "__main__":
    main(provider(), sys.argv[1:])
