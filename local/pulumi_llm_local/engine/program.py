"""Run a Pulumi program for the engine, in a process that was forked from one that has the SDKs imported."""

import asyncio
import importlib
import os
import runpy
import sys
import traceback
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import grpc
import pulumi
from pulumi.runtime import reset_options, run_in_stack, set_all_config

importlib.import_module("pulumi_llm")  # with the SDKs that it imports: what a program takes longest for

# The exit status of a program that has logged what went wrong.
BAIL = 32

# The interpreter's own, before the parent's is put in its place.
_PATH = [folder for folder in sys.path if folder]


def run(request: Mapping[str, Any], directory: Path, environment: Mapping[str, str], output: Connection) -> None:
    """The process that is the program: what it prints goes to `output`; it exits with 0, `BAIL` or another status."""
    for stream in (1, 2):
        os.dup2(output.fileno(), stream)
    output.close()
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(directory)
    sys.path[:] = [str(directory), *_PATH]
    sys.argv[:] = [str(directory / "__main__.py")]
    sys.exit(_run(request, directory))


def _run(request: Mapping[str, Any], directory: Path) -> int:
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
