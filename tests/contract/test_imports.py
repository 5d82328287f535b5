"""The imports between packages and modules: import-linter's contracts of pyproject.toml hold, and no module is in a cycle."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp
import pytest

from support.programs import ROOT

LINTER = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
FOLDERS = {
    "pulumi_llm": "components",
    "llm_gateway": "lambda_src",
    "llm_functions": "lambda_src",
    "pulumi_llm_local": "local",
    "llm_policies": "policy",
}

# For each contract: the place of an import that breaks it, the module that imports, and the one that is imported.
BREAKS = {
    "The core imports no other package of ours, no web framework, no AWS SDK and no Pulumi": [
        ("llm_gateway/router.py", "llm_functions.compose"),
        ("llm_gateway/providers/bedrock/provider.py", "boto3"),
        ("llm_gateway/pipeline.py", "starlette"),
    ],
    "The functions import the core, and nothing else of ours": [
        ("llm_functions/compose.py", "pulumi_llm.models"),
        ("llm_functions/http/server.py", "aiohttp"),
    ],
    "The components import the core, never the functions; only the command and the mocks import the local run": [
        ("pulumi_llm/base/bundle.py", "llm_functions.http"),
        ("pulumi_llm/base/bundle.py", "pulumi_llm_local.run"),
        ("pulumi_llm/cli/chat.py", "httpx"),
    ],
    "The policy pack imports nothing of ours, because it checks anyone's program": [
        ("llm_policies/bedrock.py", "pulumi_llm.models"),
    ],
    "Layers of the core": [
        ("llm_gateway/aws/client.py", "llm_gateway.providers.mock"),
        ("llm_gateway/errors.py", "llm_gateway.http.client"),
        ("llm_gateway/stages/validate.py", "llm_gateway.providers.mock"),
    ],
    "Layers of the functions": [("llm_functions/api_formats/chat.py", "llm_functions.http.application")],
    "Layers of the components": [("pulumi_llm/base/component.py", "pulumi_llm.routing")],
    "Layers of the local run": [("pulumi_llm_local/program/graph.py", "pulumi_llm_local.run.supervisor")],
    "Layers of the policy pack": [("llm_policies/rule.py", "llm_policies.rules")],
}


def lint(packages: Path | None = None) -> tuple[int, str]:
    """The linter's status and report, for the packages below a folder; default: those of this checkout."""
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()", "--no-cache"]
    # The policy pack is the one package that is not installed. What stands on PYTHONPATH comes before what is installed.
    environment = {**os.environ, "PYTHONPATH": str(packages or ROOT / "policy"), "COLUMNS": "200"}
    done = subprocess.run(
        [*command, "--config", str(ROOT / "pyproject.toml")],
        cwd="/",
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_the_contracts_hold() -> None:
    status, report = lint()
    assert status == 0, report
    assert f"Contracts: {len(LINTER['contracts'])} kept, 0 broken" in report


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the packages."""
    copy = tmp_path_factory.mktemp("packages")
    assert sorted(FOLDERS) == sorted(LINTER["root_packages"])
    for package, folder in FOLDERS.items():
        shutil.copytree(ROOT / folder / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


def test_each_contract_is_broken_below() -> None:
    assert sorted(BREAKS) == sorted(contract["name"] for contract in LINTER["contracts"])


@pytest.mark.parametrize(
    ("contract", "importer", "imported"),
    [pytest.param(name, *each, id=" -> ".join(each)) for name, breaks in BREAKS.items() for each in breaks],
)
def test_a_broken_contract_is_reported(packages: Path, contract: str, importer: str, imported: str) -> None:
    path = packages / importer
    source = path.read_text()
    path.write_text(f"{source}\nimport {imported}\n")
    try:
        status, report = lint(packages)
    finally:
        path.write_text(source)
    assert status == 1, report
    assert f"{contract} BROKEN" in report
    module = importer.removesuffix(".py").replace("/", ".")
    assert f"{module} -> {imported} (l.{len(source.splitlines()) + 2})" in report


def cycle(graph: grimp.ImportGraph) -> list[str]:
    """The modules of one cycle, each after the one that it imports; none: there is no cycle."""
    try:
        TopologicalSorter({module: graph.find_modules_directly_imported_by(module) for module in graph.modules}).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def test_no_module_is_in_a_cycle() -> None:
    """Imports inside of functions and for type checkers count too."""
    graph = grimp.build_graph(*LINTER["root_packages"], cache_dir=None)
    assert len(graph.modules) > 100
    found = cycle(graph)
    assert not found, " -> ".join(found)


def test_a_cycle_is_found() -> None:
    graph = grimp.ImportGraph()
    for importer, imported in [("a", "b"), ("b", "c"), ("c", "b"), ("c", "d")]:
        graph.add_import(importer=importer, imported=imported)
    assert sorted(set(cycle(graph))) == ["b", "c"]


# The keys of AWS's events: only the functions read and write them. Bedrock's and DynamoDB's own headers are no events.
EVENT_KEYS = re.compile(
    r"accountId|httpMethod|isBase64Encoded|methodArn|multiValueHeaders|pathParameters|policyDocument|principalId"
    r"|queryStringParameters|requestContext|usageIdentifierKey|userArn|x-amzn-(?:lambda|request)-context"
)


def event_keys(package: str) -> set[str]:
    sources = list((ROOT / FOLDERS[package] / package).rglob("*.py"))
    assert sources
    return {f"{path.name}: {key}" for path in sources for key in EVENT_KEYS.findall(path.read_text())}


def test_the_core_knows_no_event_of_aws() -> None:
    assert event_keys("llm_gateway") == set()


def test_the_functions_know_them() -> None:
    """The search above finds what it looks for, where it is."""
    found = event_keys("llm_functions")
    assert {"authorizer.py: methodArn", "request_context.py: userArn", "application.py: x-amzn-request-context"} <= found
