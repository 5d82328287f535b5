"""Starts a pack: this one, or one of your own rules."""

import contextlib
import os
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NoReturn

import grpc

from llm_policies import actions
from llm_policies.analyzer import Analyzer
from llm_policies.protocol import analyzer_pb2_grpc
from llm_policies.rule import Rule
from llm_policies.rules import RULES

NAME: Final = "pulumi-llm"
# As much as the engine sends: a stack's state in one message.
_MESSAGE_BYTES: Final = 400 * 1024 * 1024


def serve(name: str = NAME, rules: Sequence[Rule] = RULES) -> NoReturn:
    """Serve a pack to the engine, which started this process and ends it. This call does not return.

    Args:
        name: the pack's name, as in PulumiPolicy.yaml.
        rules: the pack's rules. Without a configuration, what is critical or high is mandatory, and the rest advisory.
    """
    # While the program starts: the list of actions takes 0.1 s to read.
    threading.Thread(target=actions.find, args=("s3:GetObject",), daemon=True).start()
    server = grpc.server(ThreadPoolExecutor(max_workers=4), options=[("grpc.max_receive_message_length", _MESSAGE_BYTES)])
    analyzer_pb2_grpc.add_AnalyzerServicer_to_server(Analyzer(name, rules), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sys.stdout.write(f"{port}\n")  # the engine reads it, and connects
    sys.stdout.flush()
    with contextlib.suppress(KeyboardInterrupt):  # which is how the engine ends it
        server.wait_for_termination()
    # The engine waits until the process has ended. Without this, the interpreter would first clear all modules: 0.2 s.
    sys.stdout.flush()
    os._exit(0)
