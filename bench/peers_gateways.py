"""How bench/peers.py starts each gateway: ours, its peers, and what marks how fast a proxy can be.

`GATEWAYS` has one entry for each. An entry installs the gateway, into the project's cache and only once, or raises
`NotInstalled`. Every gateway is one process on loopback, started by the benchmark and ended by it.
"""

import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from cold_start import KEY, REGION, SECRET, TARGET, assemble, compiled, function_environment
from peers_upstream import FAST, OPENAI_KEY, PACED

from llm_gateway import environment
from llm_gateway.answer_cache import AnswerCache
from llm_gateway.limits import CallerLimits, Limit, Limits
from llm_gateway.routes import ROUTES_FILE, Alias, Endpoint, Routes, encode
from llm_gateway.rules import Rule
from llm_gateway.safety import Filter, Safety
from llm_gateway.stages.prompt_filters import PII
from llm_gateway.trace import Tracing
from llm_gateway.tracing import xray
from pulumi_llm.base import bundle

PEERS = Path(__file__).resolve().parent / "peers"
UPSTREAMS = ("openai", "bedrock")


class NotInstalled(Exception):
    """A gateway cannot be installed."""


class Command(NamedTuple):
    arguments: list[str]
    environment: dict[str, str]
    folder: Path


class Gateway(NamedTuple):
    """A gateway that can be started.

    `command` gets the upstream's kind and address, and the port to listen at. `headers` gets the first two and returns what
    a request to the gateway has beside a content type.
    """

    name: str
    command: Callable[[str, str, int], Command]
    headers: Callable[[str, str], list[tuple[str, str]]] = lambda _upstream, _address: []
    upstreams: tuple[str, ...] = UPSTREAMS


# Ours. What of the routes document and of the environment switches each stage on. PROVIDER is the fake provider's address.
_LIMITS = Limits((Limit("tokens", "day", 10**12), Limit("requests", "minute", 10**9)), calls_in_flight=10**6)
_FILTERS = (
    Filter("length", most=10**6),
    Filter("control_characters"),
    Filter("injection"),
    Filter("pii", "mask", kinds=tuple(PII)),
)
STAGES: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "ledger": ({"limits": CallerLimits(others=_LIMITS)}, {environment.LEDGER_TABLE: "ledger"}),
    "cancel": ({}, {environment.JOURNAL_TABLE: "journal"}),
    "filters": ({"safety": Safety(_FILTERS)}, {}),
    "rules": ({"rules": (Rule("all", max_tokens=4000, out_of_bounds="clamp", tools=("search",)),)}, {}),
    "cache": ({"cache": AnswerCache(600)}, {environment.CACHE_TABLE: "journal"}),
    "flags": ({}, {environment.FLAGS_CONFIGURATION: "application/environment/profile"}),
    "traces": ({"tracing": Tracing()}, {xray.ADDRESS: "PROVIDER"}),
}


def ours(folder: Path, python: str, stage: str = "", before: str = "") -> Gateway:
    """The bundle of the current sources or of the commit `before`, with a stage on, or all. It gets no key, because API Gateway
    checks the callers.
    """
    name = f"+{stage}" if stage else "before" if before else "ours"
    stages = [STAGES[each] for each in STAGES if stage in (each, "all")]
    root = _earlier(before, folder / name, python) if before else assemble(folder / name, python)

    def command(upstream: str, address: str, port: int) -> Command:
        variables = function_environment(root, python, address, TARGET)
        routes, local = _routes(upstream, address), address.removeprefix("http://")
        for changes, more in stages:
            routes = msgspec.structs.replace(routes, **changes)
            variables |= {variable: value.replace("PROVIDER", local) for variable, value in more.items()}
        stores = {f"AWS_ENDPOINT_URL_{store}": address for store in ("DYNAMODB", "APPCONFIGDATA")}
        (root / ROUTES_FILE).write_bytes(encode(routes))
        return Command(["/bin/sh", bundle.RUN_SCRIPT], {**variables, **stores, "AWS_LWA_PORT": str(port)}, root)

    trace = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
    return Gateway(name, command, lambda _upstream, _address: [("x-amzn-trace-id", trace)])


def _routes(upstream: str, address: str) -> Routes:
    provider = "bedrock" if upstream == "bedrock" else "bench"
    aliases = tuple(
        Alias(model, (msgspec.structs.replace(TARGET, name=f"{provider}/{model}", provider=provider, model=model),))
        for model in (FAST[upstream], PACED[upstream])
    )
    if upstream == "bedrock":
        return Routes(aliases)
    return Routes(aliases, endpoints=(Endpoint(name=provider, type="openai_compatible", base_url=f"{address}/v1"),))


def _earlier(commit: str, to: Path, python: str) -> Path:
    """The bundle of an earlier commit."""
    assemble(to, python)
    for package in ("llm_gateway", "llm_functions"):
        shutil.rmtree(to / package)
    archive = to.with_suffix(".tar")
    top = PEERS.parents[1]
    execute(["git", "-C", str(top), "archive", "-o", str(archive), commit, "lambda_src", "requirements/lambda.txt"])
    source = to.with_suffix(".source")
    shutil.unpack_archive(archive, source, filter="data")
    pip_install(to, python, source / "requirements" / "lambda.txt")
    shutil.copytree(source / "lambda_src", to, dirs_exist_ok=True)
    return compiled(to, python)


# What marks how fast a proxy can be. They pass OpenAI's API on, so they have no Bedrock behind them.


def nginx(folder: Path, python: str) -> Gateway:
    """A proxy in C that passes bytes on."""
    binary = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    if binary is None:
        raise NotInstalled("there is no nginx (apt-get install nginx-light)")

    def command(upstream: str, address: str, port: int) -> Command:
        config = (PEERS / "nginx.conf").read_text()
        for name, value in {"FOLDER": str(folder), "PROVIDER": address.removeprefix("http://"), "PORT": str(port)}.items():
            config = config.replace(name, value)
        (folder / "nginx.conf").write_text(config)
        return Command([binary, "-e", "stderr", "-p", str(folder), "-c", str(folder / "nginx.conf")], {}, folder)

    return Gateway("nginx", command, upstreams=("openai",))


def python_floor(folder: Path, python: str) -> Gateway:
    """The least that a proxy in Python does: bench/peers/python_floor.py, on the same Python as ours."""
    lock = PEERS / "python_floor.txt"
    packages = installed("floor", lock, python, lambda to: pip_install(to, python, lock))

    def command(upstream: str, address: str, port: int) -> Command:
        return Command(
            [python, str(PEERS / "python_floor.py"), str(port), address], {"PYTHONPATH": str(packages), "PATH": ""}, folder
        )

    return Gateway("floor", command, upstreams=("openai",))


def bifrost(folder: Path, python: str) -> Gateway:
    """Bifrost's core behind the small server in bench/peers/bifrost. Its provider for Bedrock calls AWS's addresses only."""
    go = shutil.which("go")
    if go is None:
        raise NotInstalled("there is no go on the PATH")
    source = PEERS / "bifrost"

    def build(to: Path) -> None:
        execute([go, "build", "-C", str(source), "-o", str(to / "bifrost"), "."])

    built = installed("bifrost", source / "go.sum", (source / "main.go").read_text(), build)

    def command(upstream: str, address: str, port: int) -> Command:
        return Command([str(built / "bifrost"), f"127.0.0.1:{port}", address], {}, folder)

    return Gateway("bifrost", command, upstreams=("openai",))


# Peers.


def fastapi_boto3(folder: Path, python: str) -> Gateway:
    """What most people would write: bench/peers/fastapi_boto3.py, on the same Python as ours."""
    lock = PEERS / "fastapi_boto3.txt"
    packages = installed("fastapi_boto3", lock, python, lambda to: pip_install(to, python, lock))
    script = folder / "fastapi_boto3"
    script.mkdir()
    shutil.copy(PEERS / "fastapi_boto3.py", script / "function.py")
    compiled(script, python)

    def command(upstream: str, address: str, port: int) -> Command:
        variables = {
            "PATH": "",
            "PYTHONPATH": f"{packages}:{script}",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": address,
        }
        start = f"import function; function.serve({port})"
        return Command([python, "-c", start], variables, folder)

    return Gateway("fastapi", command, upstreams=("bedrock",))


# Portkey listens on every address of the machine, and has no option for that.
_LOOPBACK = """
const { Server } = require("node:net");
const { listen } = Server.prototype;
Server.prototype.listen = function (port, ...rest) {
  return listen.call(this, { port: Number(port), host: "127.0.0.1" }, rest.find((each) => typeof each === "function"));
};
"""


def portkey(folder: Path, python: str) -> Gateway:
    """Portkey, in production mode without its console. It is configured by the headers of each request."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise NotInstalled("node and npm are not on the PATH")

    def install(to: Path) -> None:
        for name in ("package.json", "package-lock.json"):
            shutil.copyfile(PEERS / "portkey" / name, to / name)
        execute([npm, "ci", "--prefix", str(to), "--ignore-scripts", "--no-audit", "--no-fund"])

    root = installed("portkey", PEERS / "portkey" / "package-lock.json", "", install)
    loopback = folder / "loopback.cjs"
    loopback.write_text(_LOOPBACK)

    def command(upstream: str, address: str, port: int) -> Command:
        script = root / "node_modules/@portkey-ai/gateway/build/start-server.js"
        arguments = [node, "--require", str(loopback), str(script), f"--port={port}", "--headless"]
        variables = {"PATH": f"{Path(node).parent}:/usr/bin:/bin", "HOME": str(folder), "NODE_ENV": "production"}
        return Command(arguments, variables, root)

    def headers(upstream: str, address: str) -> list[tuple[str, str]]:
        if upstream == "openai":
            values = {"provider": "openai", "custom-host": f"{address}/v1"}
            return [("authorization", f"Bearer {OPENAI_KEY}"), *_portkey_headers(values)]
        values = {
            "provider": "bedrock",
            "custom-host": address,
            "aws-access-key-id": KEY,
            "aws-secret-access-key": SECRET,
            "aws-region": REGION,
        }
        return _portkey_headers(values)

    return Gateway("portkey", command, headers)


def _portkey_headers(values: dict[str, str]) -> list[tuple[str, str]]:
    return [(f"x-portkey-{name}", value) for name, value in values.items()]


def litellm(folder: Path, python: str) -> Gateway:
    """LiteLLM's proxy on the same Python as ours: with bytecode, one worker, no database, and error logs only."""
    lock = PEERS / "litellm.txt"

    def install(to: Path) -> None:
        execute([bundle._uv(), "venv", "--quiet", "--python", python, "--no-python-downloads", str(to)])
        options = ["--compile-bytecode", "--python", str(to / "bin/python"), "--require-hashes", "--requirements", str(lock)]
        execute([bundle._uv(), "pip", "install", "--quiet", *options])

    root = installed("litellm", lock, python, install)

    def command(upstream: str, address: str, port: int) -> Command:
        if upstream == "openai":
            parameters = {"api_base": f"{address}/v1", "api_key": OPENAI_KEY}
        else:
            parameters = {
                "aws_bedrock_runtime_endpoint": address,
                "aws_access_key_id": KEY,
                "aws_secret_access_key": SECRET,
                "aws_region_name": REGION,
            }
        prefix = "bedrock/converse" if upstream == "bedrock" else "openai"
        models = [
            {"model_name": model, "litellm_params": {"model": f"{prefix}/{model}", **parameters}}
            for model in (FAST[upstream], PACED[upstream])
        ]
        config = folder / f"litellm-{upstream}.yaml"
        config.write_text(json.dumps({"model_list": models}))  # JSON is YAML
        variables = {
            "PATH": f"{root / 'bin'}:/usr/bin:/bin",
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            "LITELLM_LOG": "ERROR",
            "LITELLM_MODE": "PRODUCTION",
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            # No gateway checks a key of its caller.
            "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
        }
        arguments = [str(root / "bin/litellm"), "--config", str(config), "--host", "127.0.0.1"]
        arguments += ["--port", str(port), "--num_workers", "1", "--telemetry", "False"]
        return Command(arguments, variables, folder)

    return Gateway("litellm", command)


GATEWAYS: dict[str, Callable[[Path, str], Gateway]] = {
    "ours": ours,
    **{f"+{stage}": lambda folder, python, stage=stage: ours(folder, python, stage) for stage in (*STAGES, "all")},
    "nginx": nginx,
    "floor": python_floor,
    "bifrost": bifrost,
    "fastapi": fastapi_boto3,
    "portkey": portkey,
    "litellm": litellm,
}


# Installing.


def installed(name: str, lock: Path, more: str, install: Callable[[Path], None]) -> Path:
    """The folder of a peer. It is installed again if its lock or `more` has changed. Raises `NotInstalled`."""
    key = hashlib.sha256(lock.read_bytes() + more.encode()).hexdigest()
    folder = bundle.cache_folder() / "bench-peers" / name
    mark = folder.with_name(f"{name}.installed")
    if mark.exists() and mark.read_text() == key:
        return folder
    print(f"installing {name}, once")
    mark.unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    install(folder)
    mark.write_text(key)
    return folder


def pip_install(to: Path, python: str, lock: Path) -> None:
    """Install a lock into a folder for PYTHONPATH, with bytecode as in the bundle."""
    options = ["--target", str(to), "--python", python, "--require-hashes", "--requirements", str(lock)]
    execute([bundle._uv(), "pip", "install", "--quiet", *options])
    compiled(to, python)


def execute(command: list[str]) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
    except subprocess.CalledProcessError as error:
        raise NotInstalled(" ".join(error.stderr.split())[:300]) from None
    except subprocess.TimeoutExpired:
        raise NotInstalled(f"{Path(command[0]).name} took longer than five minutes") from None


if __name__ == "__main__":
    print("bench/peers.py starts this")
