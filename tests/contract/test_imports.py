"""The imports between packages and modules: import-linter's contracts of pyproject.toml hold, no module is in a cycle, and none
is loaded before it is used.
"""

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

import pulumi_llm
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


# What is run, and a pattern of modules that it must not load, those below them included: they cost every program and command,
# and it has no use for them.
COMMAND = "import contextlib, sys\nfrom pulumi_llm.cli import main\nwith contextlib.suppress(SystemExit):\n    main()"
COMPONENTS = r"pulumi_llm\.(?!base)\w+\.component"
SERVICES = r"pulumi_aws\.(?!config)\w+\.\w+|pulumi_kubernetes"
LAZY = {
    "the package": ("import pulumi_llm", r"msgspec|pulumi|pulumi_aws|pydantic|pulumi_llm\.(?!base)\w+"),
    "a stack's settings": ("import pulumi_llm; pulumi_llm.load", rf"{SERVICES}|{COMPONENTS}"),
    "one component": (
        "import pulumi_llm; pulumi_llm.ServerlessBedrockApi",
        r"pulumi_aws\.(?:budgets|cloudfront|ec2|s3|wafv2)|pulumi_kubernetes|pulumi_llm\.(?!base|serverless)\w+\.component",
    ),
    "a subpackage": ("from pulumi_llm.cdn_frontend import CdnFrontendArgs", rf"{SERVICES}|{COMPONENTS}"),
    **{
        f"pulumi-llm {arguments}": (
            f"import sys\nsys.argv = 'pulumi-llm {arguments}'.split()\n{COMMAND}",
            rf"botocore|pulumi|pulumi_aws|pulumi_llm_local|websockets|{COMPONENTS}",
        )
        for arguments in ("--help", "chat --help", "cost --help", "load --help", "fit --help", "prune-versions --help")
    },
}
# A module of pulumi_aws that nothing has used yet is in sys.modules, but not loaded: it is of a type of its own.
LOADED = "import sys, types\nprint(*(name for name, module in sys.modules.items() if type(module) is types.ModuleType))"


def python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("run", LAZY)
def test_what_is_not_used_is_not_loaded(run: str) -> None:
    code, unused = LAZY[run]
    loaded = python(f"{code}\n{LOADED}").splitlines()[-1].split()
    assert "pulumi_llm" in loaded
    assert [name for name in loaded if re.fullmatch(rf"(?:{unused})(?:\..*)?", name)] == []


def test_what_is_exported_is_found_before_it_is_loaded() -> None:
    listed = python("import pulumi_llm; print(*dir(pulumi_llm)); print(hasattr(pulumi_llm, 'WebsocketChat'))").splitlines()
    assert set(pulumi_llm.__all__) <= set(listed[0].split())
    assert listed[1] == "False"
    everything = python("from pulumi_llm import *; print(*globals())").split()
    assert set(pulumi_llm.__all__) <= set(everything)


THREADS = """
import sys, threading
import pulumi_llm
sys.setswitchinterval(1e-6)
names, failures = pulumi_llm.__all__, []
together = threading.Barrier(len(names))
def use(name):
    together.wait()
    try:
        getattr(pulumi_llm, name)
    except BaseException as error:
        failures.append(f"{name}: {error!r}")
threads = [threading.Thread(target=use, args=(name,)) for name in names]
for each in threads: each.start()
for each in threads: each.join()
print(*failures, sep="\\n")
"""


def test_threads_load_what_is_exported_at_once() -> None:
    assert python(THREADS).strip() == ""
