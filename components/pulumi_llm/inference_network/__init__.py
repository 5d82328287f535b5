"""InferenceNetwork: a VPC for the servers of models and the functions that call them."""

from typing import TYPE_CHECKING

from pulumi_llm.base.lazy_modules import lazy_exports

if TYPE_CHECKING:
    from pulumi_llm.inference_network.args_types import InferenceNetworkArgs
    from pulumi_llm.inference_network.component import InferenceNetwork
else:
    __getattr__, __dir__ = lazy_exports(__name__, {"InferenceNetwork": "component", "InferenceNetworkArgs": "args_types"})

__all__ = ["InferenceNetwork", "InferenceNetworkArgs"]
