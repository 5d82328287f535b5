"""The language host that the engine talks to: it runs the program in a process of its own.

https://github.com/pulumi/pulumi/blob/master/proto/pulumi/language.proto
"""

import multiprocessing
import os
import platform
import sys
from collections.abc import Mapping
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import json_format
from pulumi.runtime.proto import language_pb2, language_pb2_grpc, plugin_pb2

from pulumi_llm_local.engine import program

Outputs = Mapping[str, Mapping[str, Any]]

# A program is a process of its own, forked from one that has imported what programs import: half a second less a run.
_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload([program.__name__])


class LanguageHost(language_pb2_grpc.LanguageRuntimeServicer):
    """Runs the `__main__.py` of a folder. `environment` is what the program sees, `outputs` are other stacks'."""

    def __init__(self, directory: Path, environment: Mapping[str, str], outputs: Outputs) -> None:
        self._directory = directory
        self._environment = dict(environment)
        self._outputs = outputs
        forkserver.ensure_running()  # it imports while the engine starts

    def About(self, request: Any, context: grpc.ServicerContext) -> Any:
        return language_pb2.AboutResponse(executable=sys.executable, version=platform.python_version())

    def GetPluginInfo(self, request: Any, context: grpc.ServicerContext) -> Any:
        return plugin_pb2.PluginInfo(version="0.0.0")

    def GetRequiredPackages(self, request: Any, context: grpc.ServicerContext) -> Any:
        return language_pb2.GetRequiredPackagesResponse()

    def GetRequiredPlugins(self, request: Any, context: grpc.ServicerContext) -> Any:
        return language_pb2.GetRequiredPluginsResponse()

    def Run(self, request: Any, context: grpc.ServicerContext) -> Any:
        reading, writing = _processes.Pipe(duplex=False)
        given = (json_format.MessageToDict(request), self._directory, self._environment, self._outputs, writing)
        process = _processes.Process(target=program.run, args=given, daemon=True)
        process.start()
        writing.close()
        context.add_callback(process.kill)  # where the engine is gone, nobody else ends its program
        with os.fdopen(os.dup(reading.fileno()), errors="replace") as stream:
            printed = stream.read().strip()
        reading.close()
        process.join()
        if process.exitcode == 0:
            return language_pb2.RunResponse()
        if process.exitcode == program.BAIL:  # it has told the engine why
            return language_pb2.RunResponse(bail=True)
        return language_pb2.RunResponse(error=printed or f"exit status {process.exitcode}")
