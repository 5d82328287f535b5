"""The wheel as its users have it, in a folder that knows nothing of this checkout.

It is installed with the locked packages, and with the lowest versions that pyproject.toml allows.
"""

import json
import re
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import uv

from llm_gateway.routes import ROUTES_FILE, Routes
from pulumi_llm.base import web_client
from pulumi_llm_local.engine import command
from support.programs import ROOT
from system.local import conftest as local

PACKAGES = ("pulumi_llm", "llm_gateway", "llm_functions", "pulumi_llm_local")

# What only the extras bring.
COMMANDS_ALONE = ("aiohttp", "botocore", "httptools", "moto", "quickjs", "rich", "typer", "uv")

EXAMPLES = sorted(path.parent for path in (ROOT / "examples").glob("*/__main__.py"))

PROGRAM = """\
import pulumi
import pulumi_aws as aws

import pulumi_llm

config = pulumi.Config()
provider = aws.Provider("ours", region=pulumi.Config("aws").require("region"))
for team, model in config.require_object("teams").items():
    api = pulumi_llm.ServerlessBedrockApi(
        team,
        {"models": [{"name": "default", "model": model}], "daily_quota": config.require_int("daily_quota")},
        pulumi.ResourceOptions(provider=provider),
    )
    pulumi.export(f"{team}_url", api.url)
    pulumi.export(f"{team}_key", api.default_api_key)
"""


def settings(region: str, daily_quota: int, **teams: str) -> str:
    """A stack's file; JSON is YAML."""
    return json.dumps({"config": {"aws:region": region, "two-teams:daily_quota": daily_quota, "two-teams:teams": teams}})


@dataclass
class Environment:
    """A virtual environment, and a folder to stand in."""

    folder: Path
    work: Path

    def run(self, *command: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        """A command of the environment, that finds no other interpreter: not by the path, not in the home folder."""
        environment = {
            "PATH": str(self.folder / "bin"),
            "HOME": str(self.work),
            "PULUMI_LLM_CACHE": str(self.work / "cache"),
            **variables,
        }
        command = (str(self.folder / "bin" / command[0]), *command[1:])
        return subprocess.run(command, cwd=self.work, env=environment, capture_output=True, text=True, check=False)

    def python(self, code: str, **variables: str) -> Any:
        """What `code` prints, a JSON document."""
        done = self.run("python", "-c", code, **variables)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def install(self, *arguments: str) -> None:
        install("pip", "install", "--python", str(self.folder / "bin" / "python"), *arguments)


def install(*arguments: str) -> None:
    done = subprocess.run([uv.find_uv_bin(), *arguments], cwd="/", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def make_environment(root: Path) -> Environment:
    (root / "work").mkdir()
    install("venv", "--quiet", "--no-config", "--python", sys.executable, str(root / "environment"))
    return Environment(root / "environment", root / "work")


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(["make", "-s", "frontend"], cwd=ROOT, check=False)
    command = [uv.find_uv_bin(), "build", "--wheel", "--offline", "--no-build-isolation", "--python", sys.executable]
    done = subprocess.run([*command, "--out-dir", str(folder), str(ROOT)], capture_output=True, text=True, check=False)
    if missing := re.search(r"Python \S+ is needed.*|the web client is not built.*", done.stderr):
        pytest.skip(missing[0])
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """The wheel with all that is locked, the extra `local` among it."""
    environment = make_environment(tmp_path_factory.mktemp("installed"))
    environment.install("--require-hashes", "--requirements", str(ROOT / "requirements" / "project.txt"))
    environment.install("--no-deps", str(wheel))
    return environment


@pytest.fixture(scope="session")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """The wheel with what a program needs, in the lowest versions."""
    return lowest(wheel, tmp_path_factory.mktemp("bare"))


@pytest.fixture(scope="session")
def commanded(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """The wheel with the extra `cli`, in the lowest versions."""
    return lowest(wheel, tmp_path_factory.mktemp("commanded"), "--extra", "cli")


def lowest(wheel: Path, root: Path, *extra: str) -> Environment:
    environment = make_environment(root)
    # Only what pyproject.toml itself requires is taken at its lowest: a wheel's own requirements are not direct ones.
    environment.install("--resolution", "lowest-direct", "--requirements", str(ROOT / "pyproject.toml"), *extra)
    environment.install("--no-deps", str(wheel))
    return environment


@pytest.fixture
def project(installed: Environment) -> Path:
    return write_project(installed)


def write_project(environment: Environment) -> Path:
    """A program of someone else's: two components in one stack, and a provider of its own."""
    folder = environment.work / "two-teams"
    folder.mkdir(exist_ok=True)
    (folder / "Pulumi.yaml").write_text("name: two-teams\nruntime: python\n")
    (folder / "Pulumi.dev.yaml").write_text(settings("us-east-1", 50, support="gpt-oss-20b", research="claude-haiku-4-5"))
    (folder / "__main__.py").write_text(PROGRAM)
    return folder


def load_graph(installed: Environment, project: Path, stack: str) -> dict[str, Any]:
    """The resources of the program by type, as it is deployed: with the functions' archives for Lambda."""
    code = f"""if True:
        import json, os, pathlib
        from pulumi_llm_local.program.graph import load
        graph = load(pathlib.Path({str(project)!r}), {stack!r}, {{}}, seed="", environment=os.environ)
        resources = [{{"type": r.type, "name": r.name, **r.inputs}} for r in graph.resources]
        print(json.dumps({{"region": graph.region, "resources": resources}}))
    """
    graph = installed.python(code)
    graph["functions"] = [r for r in graph["resources"] if r["type"] == "aws:lambda/function:Function"]
    return graph


# What is in it.


def test_the_packages_come_from_the_wheel(installed: Environment) -> None:
    code = f"""if True:
        import importlib, json, sys, sysconfig
        paths = [importlib.import_module(name).__path__[0] for name in {PACKAGES!r}]
        print(json.dumps({{"paths": paths, "site": sysconfig.get_path("purelib"), "search": sys.path}}))
    """
    found = installed.python(code)
    assert found["paths"] == [f"{found['site']}/{name}" for name in PACKAGES]
    assert [path for path in found["search"] if str(ROOT) in path] == []


def test_every_source_is_in_it_and_what_a_component_reads(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as opened:
        names = set(opened.namelist())
        lock = opened.read("pulumi_llm/base/lambda.txt")
    places = {
        "pulumi_llm": "components",
        "pulumi_llm_local": "local",
        "llm_gateway": "lambda_src",
        "llm_functions": "lambda_src",
    }
    for package, place in places.items():
        files = (path for path in (ROOT / place / package).rglob("*") if path.is_file() and path.suffix != ".pyc")
        assert {path.relative_to(ROOT / place).as_posix() for path in files} <= names
    assert {"pulumi_llm/models/catalogue.toml", "pulumi_llm/base/lambda.zip"} <= names
    page = {f"pulumi_llm/base/web_client_files/{path}" for path in web_client.files()}
    assert len(page) >= 4
    assert page <= names
    typed = {f"{package}/py.typed" for package in ("pulumi_llm", "llm_gateway", "pulumi_llm_local")}  # the last has AwsMocks
    assert typed <= names, "type checkers ignore the annotations without it"
    assert lock == (ROOT / "requirements" / "lambda.txt").read_bytes()
    assert {name.partition("/")[0] for name in names if ".dist-info" not in name} == set(PACKAGES)


# What its users do.


def test_two_components_of_a_foreign_program_answer(
    installed: Environment, project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The functions' bundle for this machine is built from the lock in the wheel."""
    monkeypatch.setattr(local, "COMMAND", [str(installed.folder / "bin" / "pulumi-llm")])
    monkeypatch.setenv("PULUMI_LLM_CACHE", str(tmp_path))
    with local.local_stack("--model-delay", "0", directory=project) as stack:
        urls = [httpx.URL(url) for name, url in stack.outputs.items() if name.endswith("_url")]
        assert any("assets/index-" in httpx.get(url.join("/"), timeout=60).text for url in urls), (
            "the wheel carries the web client"
        )
        for team, other in (("support", "research"), ("research", "support")):
            url, key = stack.outputs[f"{team}_url"], stack.outputs[f"{team}_key"]
            answers = [ask(url, "/chat", key), ask(url, "/chat/stream", key), ask(url, "/chat", stack.outputs[f"{other}_key"])]
            assert [answer.status_code for answer in answers] == [200, 200, 401]
            assert "Hello" in answers[0].json()["message"]
            assert "event: done" in answers[1].text
        assert stack.outputs["support_url"] != stack.outputs["research_url"]


def ask(url: str, path: str, key: str) -> httpx.Response:
    return httpx.post(url + path, json={"message": "Hello"}, headers={"x-api-key": key}, timeout=60)


def test_it_deploys_the_archive_of_the_wheel_where_there_is_no_python_of_the_functions(
    installed: Environment, project: Path
) -> None:
    graph = load_graph(installed, project, "dev")
    (shipped,) = installed.folder.rglob("pulumi_llm/base/lambda.zip")
    http = {f["name"]: f["code"]["path"] for f in graph["functions"] if f["handler"] == "run.sh"}
    models: set[str] = set()
    for path in http.values():
        with zipfile.ZipFile(path) as deployed, zipfile.ZipFile(shipped) as base:
            added = set(deployed.namelist()) - set(base.namelist())
            assert added == {ROUTES_FILE}
            assert all(deployed.read(name) == base.read(name) for name in base.namelist())
            routes = msgspec.json.decode(deployed.read(ROUTES_FILE), type=Routes)
            models |= {target.model for alias in routes.aliases for target in alias.targets}
    assert len(http) == len(models) == 2


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_the_engine_deploys_an_example(example: Path, installed: Environment, tmp_path: Path) -> None:
    """In the wheel's environment, from a copy of the example's folder: up, and up again."""
    try:
        pulumi = command.find()
    except command.EngineMissing as missing:
        pytest.skip(str(missing))
    shutil.copytree(example, tmp_path / "example")
    code = f"""if True:
        import json, pathlib
        from pulumi_llm_local.engine.cloud import Cloud
        from pulumi_llm_local.engine.stack import Stack
        folder = pathlib.Path({str(tmp_path)!r})
        with Stack(folder / "stack", folder / "example", "dev", Cloud(api_gateway_log_role=True), checkpoints=False) as stack:
            done, again = stack.up(), stack.up()
            outputs = json.loads(stack.run("stack", "output", "--json").output)
        made = [existing.urn for existing in stack.cloud]
        print(json.dumps([done.returncode, done.output, made, sorted(set(again.steps().values())), outputs]))
    """
    status, output, made, again, outputs = installed.python(code, PATH=f"{installed.folder / 'bin'}:{pulumi.parent}")
    assert status == 0, output
    assert made
    assert again == ["same"]
    assert outputs


def test_another_environment_is_one_new_file(installed: Environment, project: Path) -> None:
    before = sorted(path.name for path in project.iterdir())
    (project / "Pulumi.qa.yaml").write_text(settings("eu-west-1", 7, quality="gpt-oss-120b"))
    graph = load_graph(installed, project, "qa")
    assert graph["region"] == "eu-west-1"
    plans = [r for r in graph["resources"] if r["type"] == "aws:apigateway/usagePlan:UsagePlan"]
    assert [plan["quotaSettings"]["limit"] for plan in plans] == [7]
    assert {r["name"].partition("-")[0] for r in graph["functions"]} == {"quality"}
    assert sorted(path.name for path in project.iterdir()) == sorted([*before, "Pulumi.qa.yaml"])


def test_the_command_is_there(installed: Environment) -> None:
    done = installed.run("pulumi-llm", "--help")
    assert done.returncode == 0, done.stderr
    assert re.search(r"\blocal\b", done.stdout)
    assert re.search(r"\bchat\b", done.stdout)


# Without the extras, in the lowest versions.


def test_the_chat_needs_no_local_run(commanded: Environment) -> None:
    done = commanded.run("pulumi-llm", "chat", "--help", COLUMNS="200")
    assert done.returncode == 0, done.stderr
    assert "--endpoint" in done.stdout
    # The command itself is imported only then; nobody listens there.
    for scheme, transport in {"http": "rest", "ws": "ws"}.items():
        url = f"{scheme}://127.0.0.1:9/api"
        done = commanded.run("pulumi-llm", "chat", "--endpoint", url, "--transport", transport, "--message", "Hello")
        assert (done.returncode, done.stderr) == (
            1,
            f"error: connection_refused: nothing listens at {url}; is the service running?\n",
        )


@pytest.mark.parametrize("command", ["local", "preview", "prune-versions"])
def test_a_command_that_needs_more_says_what_to_install(commanded: Environment, command: str) -> None:
    done = commanded.run("pulumi-llm", command, *(["fn"] if command == "prune-versions" else []))
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(r".* needs more packages .*: pip install 'pulumi-llm\[local\]'\n", done.stderr)


@pytest.mark.parametrize("arguments", [[], ["--help"], ["chat"]], ids=str)
def test_without_the_command_s_packages_it_says_what_to_install(bare: Environment, arguments: list[str]) -> None:
    done = bare.run("pulumi-llm", *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(r"the command needs more packages \(\w+ is missing\): pip install 'pulumi-llm\[cli\]'\n", done.stderr)


def test_a_program_needs_no_extra(bare: Environment) -> None:
    """What only the command or the local run imports is not even installed."""
    code = f"""if True:
        import importlib.util, json
        import pulumi_llm, pulumi_llm.testing
        names = {COMMANDS_ALONE!r}
        print(json.dumps([name for name in names if importlib.util.find_spec(name)]))
    """
    assert bare.python(code) == []
    graph = load_graph(bare, write_project(bare), "dev")
    assert {function["name"].partition("-")[0] for function in graph["functions"]} == {"support", "research"}


@pytest.mark.parametrize("other", ["stelvio>=0.10.2b8", "pulumi-awsx>=3.11"])
def test_it_installs_beside(other: str, wheel: Path, tmp_path: Path) -> None:
    """What others use with Pulumi, in one environment. Stelvio bounds rich, pins pulumi-aws, and needs Python 3.12."""
    requirements = tmp_path / "requirements.in"
    requirements.write_text(f"pulumi-llm[cli] @ {wheel.as_uri()}\n{other}\n")
    install("pip", "compile", "--quiet", "--universal", "--python-version", "3.12", str(requirements))
