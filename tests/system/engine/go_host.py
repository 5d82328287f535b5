"""A language host that runs a finished Go program: go_host.py PROGRAM [FLAGS…] ENGINE-ADDRESS.

It gives the program the environment that Pulumi's own host gives it:
https://github.com/pulumi/pulumi/blob/master/sdk/go/pulumi-language-go/main.go
"""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from pulumi.runtime.proto import language_pb2, language_pb2_grpc, plugin_pb2


class GoHost(language_pb2_grpc.LanguageRuntimeServicer):
    def __init__(self, program: str, engine: str) -> None:
        self._program = program
        self._engine = engine

    def GetPluginInfo(self, request: Any, context: grpc.ServicerContext) -> Any:
        return plugin_pb2.PluginInfo(version="0.0.0")

    def GetRequiredPackages(self, request: Any, context: grpc.ServicerContext) -> Any:
        return language_pb2.GetRequiredPackagesResponse()

    def Run(self, request: Any, context: grpc.ServicerContext) -> Any:
        environment = {
            **os.environ,
            "PULUMI_ORGANIZATION": request.organization,
            "PULUMI_PROJECT": request.project,
            "PULUMI_STACK": request.stack,
            "PULUMI_CONFIG": json.dumps(dict(request.config)),
            "PULUMI_CONFIG_SECRET_KEYS": json.dumps(list(request.configSecretKeys)),
            "PULUMI_DRY_RUN": str(request.dryRun).lower(),
            "PULUMI_PARALLEL": str(request.parallel),
            "PULUMI_MONITOR": request.monitor_address,
            "PULUMI_ENGINE": self._engine,
        }
        done = subprocess.run([self._program], env=environment, capture_output=True, text=True, check=False)
        return language_pb2.RunResponse(error="" if done.returncode == 0 else done.stderr or f"exit status {done.returncode}")


def main() -> None:
    server = grpc.server(ThreadPoolExecutor(max_workers=4))
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(GoHost(sys.argv[1], sys.argv[-1]), server)
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)  # noqa: T201 -- how the engine learns the port
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    main()
