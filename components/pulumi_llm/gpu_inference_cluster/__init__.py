"""GpuInferenceCluster: an EKS cluster on which vLLM serves open models."""

from typing import TYPE_CHECKING

from pulumi_llm.base.lazy_modules import lazy_exports

if TYPE_CHECKING:
    from pulumi_llm.gpu_inference_cluster.args_types import GpuInferenceClusterArgs
    from pulumi_llm.gpu_inference_cluster.component import GpuInferenceCluster
else:
    __getattr__, __dir__ = lazy_exports(__name__, {"GpuInferenceCluster": "component", "GpuInferenceClusterArgs": "args_types"})

__all__ = ["GpuInferenceCluster", "GpuInferenceClusterArgs"]
