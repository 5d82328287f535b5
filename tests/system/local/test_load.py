"""`pulumi-llm chat` and `load` over every transport of a running stack."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from system.local.conftest import COMMAND, LocalStack, local_stack

# Each call starts the command anew, and loads its packages without compiled files here.

PROGRAM = Path(__file__).with_name("programs") / "transports"
FIRST, TOKEN = 0.2, 0.01


@pytest.fixture(scope="module")
def stack() -> Iterator[LocalStack]:
    with local_stack("--model-delay", f"{FIRST},{TOKEN}", directory=PROGRAM) as running:
        yield running


def call(stack: LocalStack, *arguments: str) -> str:
    command = [*COMMAND, *arguments, "--api-key", stack.key]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done
    return done.stdout


def test_every_transport_gives_the_same_answer(stack: LocalStack) -> None:
    urls = {"rest": stack.url, "sse": stack.url, "ws": stack.outputs["websocket_url"]}
    answers = [
        call(stack, "chat", "--transport", transport, "--endpoint", url, "-m", "Tell me about rivers")
        for transport, url in urls.items()
    ]
    assert "“Tell me about rivers”" in answers[0]
    assert answers[1:] == answers[:1] * 2


def test_the_transports_are_measured(stack: LocalStack, tmp_path: Path) -> None:
    urls = ["--endpoint", stack.url, "--websocket", stack.outputs["websocket_url"]]
    file = tmp_path / "load.json"
    call(stack, "load", *urls, "--requests", "3", "--max-tokens", "60", "--json", str(file))
    report = json.loads(file.read_text())
    assert [(name, found["complete"]) for name, found in report["transports"].items()] == [("rest", 3), ("sse", 3), ("ws", 3)]
    model_total = 1000 * (FIRST + 59 * TOKEN)
    for sample in report["samples"]:
        assert sample["output_tokens"] == 60
        assert sample["total"] >= model_total
        streamed = sample["transport"] != "rest"
        # In one piece, the first chunk is the last one. Streamed, it comes long before.
        assert (sample["total"] - sample["first_chunk"] > model_total / 4) is streamed
        assert sample["first_chunk"] >= 1000 * FIRST
        assert (sample["jitter"] is not None) is streamed
