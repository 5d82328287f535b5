"""Run a Pulumi program without an engine and print its resource graph as JSON: ``python -m pulumi_llm_local.program.evaluate``.

A process of its own for each evaluation, for a program may do anything to the process it runs in. The request is one JSON
object on standard input, ``{"directory", "project", "stack", "region", "seed", "config": {"namespace:key": "value"}, "outputs",
"answers"}``, the last two as in `Given`. The answer is the last line of standard output, ``{"resources", "outputs",
"warnings"}`` or ``{"error"}``.
"""

import asyncio
import json
import logging
import os
import runpy
import sys
import traceback
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pulumi
from pulumi.runtime.stack import run_in_stack

from pulumi_llm_local.aws_types.draft import Place
from pulumi_llm_local.aws_types.values import revealed
from pulumi_llm_local.program import recorder as recorders
from pulumi_llm_local.program.given import Given, MissingValue, read_given_outputs


def main() -> None:
    request = json.load(sys.stdin)
    answer_to, sys.stdout = sys.stdout, sys.stderr  # what the program prints is not the answer
    answer_to.write(json.dumps(_evaluate(request), default=_plain) + "\n")
    answer_to.flush()


def _evaluate(request: dict[str, Any]) -> dict[str, Any]:
    os.environ["PULUMI_ERROR_OUTPUT_STRING"] = "true"
    directory = Path(request["directory"]).resolve()
    os.chdir(directory)
    sys.path.insert(0, str(directory))
    warnings = _Warnings()
    logging.getLogger().addHandler(warnings)
    place = Place(region=request["region"], seed=request["seed"])
    recorder = recorders.start(
        place,
        request["project"],
        request["stack"],
        request["config"],
        given=Given(request["outputs"], request["answers"]),
    )
    read_given_outputs()

    def program() -> None:
        runpy.run_path(str(directory / "__main__.py"), run_name="__main__")

    try:
        asyncio.run(run_in_stack(program))
    except (pulumi.RunError, pulumi.InputPropertiesError, MissingValue) as error:
        return {"error": str(error)}
    except Exception:
        return {"error": traceback.format_exc()}
    return {
        "resources": [asdict(resource) for resource in recorder.of_type()],
        "outputs": revealed(recorder.stack_outputs),
        "warnings": warnings.messages,
    }


class _Warnings(logging.Handler):
    """Keeps what the program warned of (pulumi.log.warn)."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


def _plain(value: Any) -> Any:
    """Assets and archives, which JSON has no words for: the path is what matters."""
    if isinstance(value, pulumi.FileArchive | pulumi.FileAsset):
        return {"path": str(value.path)}
    if isinstance(value, pulumi.AssetArchive):
        return {"assets": value.assets}
    if isinstance(value, pulumi.StringAsset):
        return {"text": value.text}
    raise TypeError(f"{type(value).__name__} in a resource's inputs")


if __name__ == "__main__":
    main()
