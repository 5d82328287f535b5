"""The schema from which Pulumi generates the SDKs for other languages. tests/golden/schema.json is what it was last."""

import importlib.metadata
import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import pulumi_llm
from contract.test_components import COMPONENTS
from golden import write


@cache
def schema() -> dict[str, Any]:
    return json.loads(write.schema())


def properties() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every argument, output and field of a nested type, with its path."""
    for section in ("resources", "types"):
        for token, described in schema()[section].items():
            for kind in ("inputProperties", "properties"):
                for name, definition in described.get(kind, {}).items():
                    yield f"{token}.{kind}.{name}", definition


def test_the_schema_is_the_golden_one() -> None:
    assert write.SCHEMA.read_text() == write.schema(), (
        "the components' schema has changed, and with it the SDKs of other languages; "
        "if that is meant, run `make golden` and review the difference of tests/golden/schema.json"
    )


def test_every_exported_component_is_served_under_the_package_s_version() -> None:
    assert set(schema()["resources"]) == {f"llm:index:{name}" for name in COMPONENTS}
    assert all(resource["isComponent"] for resource in schema()["resources"].values())
    assert schema()["version"] == importlib.metadata.version("pulumi-llm")


def test_every_token_is_of_the_one_module() -> None:
    tokens = [*schema()["resources"], *schema()["types"]]
    assert [token for token in tokens if not token.removeprefix("llm:index:").isidentifier()] == []


def test_every_argument_and_output_is_described() -> None:
    assert [path for path, definition in properties() if not definition.get("description")] == []
    described = [*schema()["resources"].items(), *schema()["types"].items()]
    assert [token for token, definition in described if not definition.get("description")] == []


def test_the_python_sdk_does_not_take_the_package_s_own_name() -> None:
    """Pulumi's generator joins namespace and name, `-` made `_` (PyPack in pkg/codegen/python/gen.go, v3.250.0)."""
    generated = f"{schema()['namespace']}_{schema()['name']}".replace("-", "_")
    assert generated == "pulumi_llm_llm"
    assert generated != pulumi_llm.__name__


def test_what_an_output_cannot_say_in_the_schema_its_description_says() -> None:
    """Pulumi's analyzer has no word for a secret output. The engine keeps it one all the same: tests/system/engine."""
    outputs = schema()["resources"]["llm:index:ServerlessBedrockApi"]["properties"]
    for name in ("apiKeys", "defaultApiKey"):
        assert "secret" not in outputs[name], "the schema can tell it now: use it"
        assert "(secret)" in outputs[name]["description"]
