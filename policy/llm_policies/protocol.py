"""The engine's protocol for policy packs: the modules of Pulumi's SDK that define it, without the SDK.

Importing `pulumi` takes 0.1 s, a third of the pack's start, and the program starts after the pack.
"""

import importlib
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pulumi.runtime.proto import analyzer_pb2, analyzer_pb2_grpc, plugin_pb2
else:
    _sdk = importlib.util.find_spec("pulumi")  # finds it, and imports nothing
    if _sdk is None:
        raise ModuleNotFoundError("the pack needs Pulumi's SDK: pip install pulumi", name="pulumi")
    __path__ = [str(Path(_sdk.submodule_search_locations[0]) / "runtime" / "proto")]
    analyzer_pb2, analyzer_pb2_grpc, plugin_pb2 = (
        importlib.import_module(f"{__name__}.{name}") for name in ("analyzer_pb2", "analyzer_pb2_grpc", "plugin_pb2")
    )

__all__ = ["analyzer_pb2", "analyzer_pb2_grpc", "plugin_pb2"]
