"""Run a Pulumi program for the engine: ``python -m pulumi_llm_local.engine.program``, its request as JSON on standard input."""

import asyncio
import json
import os
import runpy
import sys
import traceback
from pathlib import Path
from typing import Any

import grpc
import pulumi
from pulumi.runtime import reset_options, run_in_stack, set_all_config

from pulumi_llm_local.engine.language import BAIL


def main() -> None:
    request: dict[str, Any] = json.load(sys.stdin)
    sys.exit(_run(request, Path(request["directory"])))


def _run(request: dict[str, Any], directory: Path) -> int:
    os.chdir(directory)
    sys.path.insert(0, str(directory))
    reset_options(
        project=request["project"],
        stack=request["stack"],
        organization=request.get("organization") or "organization",
        monitor_address=request["monitorAddress"],
        engine_address=request["args"][0],
        parallel=request.get("parallel", 1),
        preview=request.get("dryRun", False),
    )
    set_all_config(request.get("config", {}), request.get("configSecretKeys"))

    def program() -> None:
        runpy.run_path(str(directory / "__main__.py"), run_name="__main__")

    try:
        asyncio.run(run_in_stack(program))
    except (pulumi.RunError, pulumi.InputPropertiesError) as error:
        pulumi.log.error(str(error))
    except grpc.RpcError as error:
        if error.code() == grpc.StatusCode.UNAVAILABLE:  # the engine has ended, and has said why
            return BAIL
        pulumi.log.error(error.details() or str(error))
    except Exception:
        pulumi.log.error(f"the program failed:\n{traceback.format_exc()}")
    else:
        return 0
    return BAIL


if __name__ == "__main__":
    main()
