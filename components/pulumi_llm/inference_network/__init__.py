"""InferenceNetwork: a VPC for the servers of models and the functions that call them."""

from pulumi_llm.inference_network.args_types import InferenceNetworkArgs
from pulumi_llm.inference_network.component import InferenceNetwork

__all__ = ["InferenceNetwork", "InferenceNetworkArgs"]
