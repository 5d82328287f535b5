"""`make catalogue`: what differs between the catalogue and public data is printed, from a file or an installed package."""

import json
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support.programs import ROOT

TOOL = ROOT / "tools" / "catalogue_check.py"
main = runpy.run_path(str(TOOL))["main"]


def litellm(tokens: int, output: int, dollars: tuple[float, float], **more: Any) -> dict[str, Any]:
    return {
        "litellm_provider": "bedrock_converse",
        "mode": "chat",
        "max_input_tokens": tokens,
        "max_output_tokens": output,
        "input_cost_per_token": dollars[0] / 1e6,
        "output_cost_per_token": dollars[1] / 1e6,
        **more,
    }


HAIKU = litellm(1_000_000, 128_000, (0.11, 0.55))
PRICES: dict[str, Any] = {
    "sample_spec": {"litellm_provider": "one of …"},
    "gpt-4": {**HAIKU, "litellm_provider": "openai"},
    "bedrock/us-east-1/anthropic.claude-haiku-5-5": HAIKU,
    "us.anthropic.claude-haiku-5-5": HAIKU,
    "global.anthropic.claude-haiku-5-5": litellm(1_000_000, 128_000, (0.10, 0.50)),
    "kept.anthropic.claude-haiku-5-5": {**HAIKU, "mode": "embedding"},
    "us-gov.anthropic.claude-haiku-5-5": HAIKU,
    "apac.anthropic.claude-haiku-5-5": HAIKU,
    "deepseek.v3.2": litellm(1, 8_000, (0.62, 9), deprecation_date="2030-01-02"),
    "acme.old-v1": litellm(1, 1, (1, 1), deprecation_date="2020-01-01"),
    "acme.new-v1": litellm(200_000, 9_000, (1, 2.5)),
    "us.acme.new-v1": litellm(200_000, 9_000, (1, 2.5)),
    "us.acme.other-v1": litellm(5, 6, (1, 2)),
}


def printed(data: Any, folder: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    (folder / "file.json").write_text(json.dumps(data))
    assert main(["--file", str(folder / "file.json")]) == 0
    _, *lines = capsys.readouterr().out.splitlines()
    return [line.strip() for line in lines if not line.strip().partition(": ")[2].startswith("the source has none of")]


def test_what_differs_from_litellms_map_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(PRICES, tmp_path, capsys) == [
        "deepseek-v3-2: context_tokens is 163,840 here, 1 for deepseek.v3.2",
        "deepseek-v3-2: price_output is 1.85 here, 9.0 for deepseek.v3.2",
        "deepseek-v3-2: end_of_life is not given here, 2030-01-02 for deepseek.v3.2",
        "acme.new-v1 is missing (context_tokens 200,000, max_output_tokens 9,000, price_input 1.0, price_output 2.5)",
        "claude-haiku-5-5: the profile apac.anthropic.claude-haiku-5-5 is missing",
        "us.acme.other-v1 is missing (context_tokens 5, max_output_tokens 6, price_input 1.0, price_output 2.0)",
    ]


def test_what_differs_from_models_dev_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    haiku = {"cost": {"input": 0.11, "output": 0.6}, "limit": {"context": 1_000_000, "output": 128_000}}
    data = {"openai": {"models": {}}, "amazon-bedrock": {"models": {"us.anthropic.claude-haiku-5-5": haiku}}}
    assert printed(data, tmp_path, capsys) == [
        "claude-haiku-5-5: price_output is 0.55 here, 0.6 for us.anthropic.claude-haiku-5-5"
    ]


def test_a_model_that_the_source_lacks_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file.json").write_text(json.dumps(PRICES))
    main(["--file", str(tmp_path / "file.json")])
    assert "qwen3-32b: the source has none of us.qwen.qwen3-32b-v1:0, qwen.qwen3-32b-v1:0" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "said"),
    [("{}", "has neither the form of LiteLLM's price map nor that of models.dev's api.json"), ("no json", "cannot be read")],
)
def test_a_file_of_another_form_is_told(text: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file.json").write_text(text)
    assert main(["--file", str(tmp_path / "file.json")]) == 1
    assert said in capsys.readouterr().err


def test_without_a_file_an_installed_package_is_read_and_nothing_is_fetched(tmp_path: Path) -> None:
    command = [sys.executable, str(TOOL)]
    alone = subprocess.run(command, capture_output=True, text=True, check=False)
    assert alone.returncode == 1
    assert "LiteLLM is not installed here" in alone.stderr
    assert "make catalogue FILE=" in alone.stderr
    package = tmp_path / "litellm"
    package.mkdir()
    (package / "__init__.py").write_text("raise AssertionError('it is imported')")
    (package / "model_prices_and_context_window_backup.json").write_text(json.dumps(PRICES))
    installed = subprocess.run(command, capture_output=True, text=True, check=False, env={"PYTHONPATH": str(tmp_path)})
    assert installed.returncode == 0, installed.stderr
    assert str(package) in installed.stdout
    assert "deepseek-v3-2: price_output is 1.85 here, 9.0 for deepseek.v3.2" in installed.stdout
