"""The language host that the engine talks to: it runs the program in a process of its own.

https://github.com/pulumi/pulumi/blob/master/proto/pulumi/language.proto
"""

import json
import platform
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import json_format
from pulumi.runtime.proto import language_pb2, language_pb2_grpc, plugin_pb2


class LanguageHost(language_pb2_grpc.LanguageRuntimeServicer):
    """Runs the `__main__.py` of a folder. `environment` is what the program sees."""

    def __init__(self, directory: Path, environment: Mapping[str, str]) -> None:
        self._directory = directory
        self._environment = environment

    def About(self, request: Any, context: grpc.ServicerContext) -> Any:
        return language_pb2.AboutResponse(executable=sys.executable, version=platform.python_version())

    def GetPluginInfo(self, request: Any, context: grpc.ServicerContext) -> Any:
        return plugin_pb2.PluginInfo(version="0.0.0")

    def GetRequiredPackages(self, request: Any, context: grpc.ServicerContext) -> Any:
        return language_pb2.GetRequiredPackagesResponse()

    def GetRequiredPlugins(self, request: Any, context: grpc.ServicerContext) -> Any:
        return language_pb2.GetRequiredPluginsResponse()

    def Run(self, request: Any, context: grpc.ServicerContext) -> Any:
        program = subprocess.Popen(
            [sys.executable, "-m", "pulumi_llm_local.engine.program"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=dict(self._environment),
        )
        context.add_callback(program.kill)  # where the engine is gone, nobody else ends its program
        printed, errors = program.communicate(
            json.dumps({**json_format.MessageToDict(request), "directory": str(self._directory)})
        )
        if program.returncode == 0:
            return language_pb2.RunResponse()
        if program.returncode == BAIL:  # it has told the engine why
            return language_pb2.RunResponse(bail=True)
        return language_pb2.RunResponse(error=(errors or printed).strip() or f"exit status {program.returncode}")


# The exit status of a program that has logged what went wrong.
BAIL = 32
