"""Other people's clients against the whole stack: each does with every kind of provider what its own documentation shows.

A client is a program beside this file, in an environment of its own that is installed from a lock, once. It prints a line of
JSON for each check and model, and a failed one is named here.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llm_gateway.providers.anthropic.protocol import ANTHROPIC
from pulumi_llm.base import bundle
from pulumi_llm_local.engine.command import locked
from support import go_tools, node
from support.programs import ROOT
from system.local.conftest import LocalStack, local_stack

FOLDER = Path(__file__).parent
ACCOUNT = "us-east-1:123456789012"
PROVIDERS = {
    "openai": {"type": "openai_compatible", "base_url": "https://api.openai.com/v1"},
    "anthropic": {"type": "anthropic"},
}
for _name, _provider in PROVIDERS.items():
    _provider["secret_arn"] = f"arn:aws:secretsmanager:{ACCOUNT}:secret:{_name}-AbCdEf"
BOUNDS = {"context_tokens": 100_000, "max_output_tokens": 8_000}
# As docs/providers.md says: this model can be made to call a tool, which the newest ones refuse.
CLAUDE = {"accepts": [*ANTHROPIC.accepts, "forced_tools"]}
OPENAI = {"max_tokens_name": "max_completion_tokens"}
# Three families on Bedrock, a model without a switch for JSON and without forced tools, and one of each protocol of providers.
MODELS: list[dict[str, Any]] = [
    {"name": "gpt-oss", "targets": [{"model": "gpt-oss-20b"}]},
    {"name": "claude", "targets": [{"model": "claude-sonnet-4-6"}]},
    {"name": "claude-newest", "targets": [{"model": "claude-haiku-5-5"}]},
    {"name": "deepseek", "targets": [{"model": "deepseek-v3-2"}]},
    {"name": "by-openai", "targets": [{"provider": "openai", "model": "gpt-4.1-mini", **OPENAI, **BOUNDS}]},
    {"name": "by-anthropic", "targets": [{"provider": "anthropic", "model": "claude-sonnet-4-5", **CLAUDE, **BOUNDS}]},
]
# The alias of the documentation.
DOCUMENTED = {"name": "fast", "targets": [{"model": "gpt-oss-20b"}]}
SETTINGS = (
    *("--model-delay", "0"),
    *("--config", f"providers={json.dumps(PROVIDERS)}", "--config", f"models={json.dumps([*MODELS, DOCUMENTED])}"),
    *("--config", 'api.throttle={"rate_limit": 1000, "burst_limit": 1000}'),
)

# The lock of a Python client where it is not `clients.txt`.
OWN_LOCKS = {"llama_index_llms": "llama_index.txt"}
PYTHON_CLIENTS = sorted(path.stem for path in (FOLDER / "python").glob("*.py") if path.stem != "checks")
NODE_CLIENTS = sorted(path.name for path in (FOLDER / "node").glob("*.mjs") if path.stem != "checks")


@pytest.fixture(scope="module")
def stack() -> Iterator[LocalStack]:
    with local_stack(*SETTINGS) as running:
        yield running


@pytest.mark.parametrize("client", PYTHON_CLIENTS)
def test_a_client_in_python(stack: LocalStack, client: str) -> None:
    python = _python(FOLDER / "python" / OWN_LOCKS.get(client, "clients.txt"))
    _assert_all_pass(stack, [str(python), f"{client}.py"], FOLDER / "python")


@pytest.mark.parametrize("client", NODE_CLIENTS)
def test_a_client_in_javascript(stack: LocalStack, client: str) -> None:
    node.install(FOLDER / "node")
    _assert_all_pass(stack, ["node", client], FOLDER / "node")


def test_clients_in_go(stack: LocalStack, tmp_path: Path) -> None:
    program = tmp_path / "clients"
    go_tools.build(FOLDER / "go", ".", program)
    _assert_all_pass(stack, [str(program)], tmp_path)


DOCUMENT = (ROOT / "docs" / "clients.md").read_text(encoding="utf-8")
# The blocks of code with their headings; the heading is the last one before the block.
BLOCKS = [
    (f"{heading}-{language}-{position}", language, code)
    for heading, section in re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", DOCUMENT, re.MULTILINE | re.DOTALL)
    for position, (language, code) in enumerate(re.findall(r"^```(python|js)\n(.*?)^```", section, re.MULTILINE | re.DOTALL))
]


@pytest.mark.parametrize(("language", "code"), [block[1:] for block in BLOCKS], ids=[block[0] for block in BLOCKS])
def test_the_lines_of_the_documentation(stack: LocalStack, tmp_path: Path, language: str, code: str) -> None:
    if language == "js":
        node.install(FOLDER / "node")
        command, path = ["node"], tmp_path / "block.mjs"
        (tmp_path / "node_modules").symlink_to(FOLDER / "node" / "node_modules")
    else:
        lock = OWN_LOCKS["llama_index_llms"] if "llama_index" in code else "clients.txt"
        command, path = [str(_python(FOLDER / "python" / lock))], tmp_path / "block.py"
    path.write_text(code, encoding="utf-8")
    addresses = {"OPENAI_BASE_URL": f"{stack.url}/v1", "ANTHROPIC_BASE_URL": stack.url}
    keys = {"OPENAI_API_KEY": stack.key, "ANTHROPIC_API_KEY": stack.key}
    done = _run([*command, str(path)], tmp_path, {**addresses, **keys})
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def _python(lock: Path) -> Path:
    """The Python of an environment with the packages of a lock; it is made once."""
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()[:16]
    folder = bundle.cache_folder() / f"{lock.stem}-{digest}"
    python = folder / "bin" / "python"
    uv = str(Path(sys.executable).with_name("uv"))
    with locked(folder):
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            for command in (
                [uv, "venv", "--quiet", "--python", sys.executable, str(folder)],
                [uv, "pip", "sync", "--quiet", "--python", str(python), "--require-hashes", str(lock)],
            ):
                done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=500, check=False)
                assert done.returncode == 0, done.stderr
            (folder / "complete").touch()
    return python


def _assert_all_pass(stack: LocalStack, command: list[str], folder: Path) -> None:
    names = [model["name"] for model in MODELS]
    done = _run(command, folder, {"BASE_URL": f"{stack.url}/v1", "API_KEY": stack.key, "MODELS": ",".join(names)})
    results = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"check":')]
    assert done.returncode == 0 and results, done.stdout + done.stderr
    failed = [f"{each['check']} with {each['model']}: {each['failure'][:500]}" for each in results if each["failure"]]
    assert not failed, f"{len(failed)} of {len(results)}:\n" + "\n".join(failed)
    assert {each["model"] for each in results} == set(names)


def _run(command: list[str], folder: Path, given: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a client. It has nothing of the developer's own, such as a proxy or a key. Bytecode is kept: it halves a start."""
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    environment |= given
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=500, check=False, stdin=subprocess.DEVNULL
    )
