"""Run a Pulumi program for the engine, in a process that was forked from one that has the SDKs imported."""

import asyncio
import gc
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
from google.protobuf import struct_pb2
from pulumi.runtime import reset_options, run_in_stack, set_all_config, settings
from pulumi.runtime.proto import resource_pb2

from pulumi_llm_local.program.given import MISSING_ANSWER, STACK_REFERENCE, MissingValue, read_given_outputs

importlib.import_module("pulumi_llm")  # with the SDKs that it imports: what a program takes longest for

# The exit status of a program that has logged what went wrong.
BAIL = 32

# The interpreter's own, before the parent's is put in its place.
_PATH = [folder for folder in sys.path if folder]


def run(
    request: Mapping[str, Any],
    directory: Path,
    environment: Mapping[str, str],
    outputs: Mapping[str, Mapping[str, Any]],
    output: Connection,
) -> None:
    """The process that is the program: what it prints goes to `output`; it exits with 0, `BAIL` or another status."""
    gc.freeze()  # what was imported stays; to look for garbage in it takes a third of a program's time
    for stream in (1, 2):
        os.dup2(output.fileno(), stream)
    output.close()
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(directory)
    sys.path[:] = [str(directory), *_PATH]
    sys.argv[:] = [str(directory / "__main__.py")]
    sys.exit(_run(request, directory, outputs))


def _run(request: Mapping[str, Any], directory: Path, outputs: Mapping[str, Mapping[str, Any]]) -> int:
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
    # Of each resource the SDK tells the engine four times what it does, and waits until that is heard: half a program's time.
    pulumi.log.debug = _say_nothing

    read_given_outputs()
    # The SDK's type for a setting is that of the decorator that makes it.
    setattr(settings.SETTINGS, "monitor", _WithOtherStacks(settings.get_monitor(), outputs))  # noqa: B010

    def program() -> None:
        runpy.run_path(str(directory / "__main__.py"), run_name="__main__")

    try:
        asyncio.run(run_in_stack(program))
    except (pulumi.RunError, pulumi.InputPropertiesError, MissingValue) as error:
        pulumi.log.error(str(error))
    except grpc.RpcError as error:
        if error.code() == grpc.StatusCode.UNAVAILABLE:  # the engine has ended, and has said why
            return BAIL
        pulumi.log.error(error.details() or str(error))
    except Exception as error:
        missing = MISSING_ANSWER.search(str(error))  # the engine hands a provider's error over as text
        pulumi.log.error(missing[0] if missing else f"the program failed:\n{traceback.format_exc()}")
    else:
        return 0
    return BAIL


def _say_nothing(*_: Any, **__: Any) -> None:
    pass


class _WithOtherStacks:
    """The engine's monitor, but for the outputs of other stacks: the engine would look for these in the backend."""

    def __init__(self, monitor: Any, outputs: Mapping[str, Mapping[str, Any]]) -> None:
        self._monitor = monitor
        self._outputs = outputs

    def __getattr__(self, name: str) -> Any:
        return getattr(self._monitor, name)

    def ReadResource(self, request: Any) -> Any:
        if request.type != STACK_REFERENCE:
            return self._monitor.ReadResource(request)
        properties = struct_pb2.Struct()
        properties.update({"name": request.id, "outputs": dict(self._outputs.get(request.id, {})), "secretOutputNames": []})
        project, stack = pulumi.get_project(), pulumi.get_stack()
        urn = f"urn:pulumi:{stack}::{project}::{STACK_REFERENCE}::{request.name}"
        return resource_pb2.ReadResourceResponse(urn=urn, properties=properties)
