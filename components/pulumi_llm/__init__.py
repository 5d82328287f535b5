"""An LLM inference service in your own AWS account, as Pulumi components.

What is exported is loaded at first use: a program pays for the components that it makes, and for no others.
"""

from typing import TYPE_CHECKING

from pulumi_llm.base.lazy_modules import lazy_exports

if TYPE_CHECKING:
    from pulumi_llm.account_baseline.args_types import AccountBaselineArgs
    from pulumi_llm.account_baseline.component import AccountBaseline
    from pulumi_llm.async_inference.args_types import AsyncInferenceArgs
    from pulumi_llm.async_inference.component import AsyncInference
    from pulumi_llm.boundaries import role_boundary
    from pulumi_llm.cdn_frontend.args_types import CdnFrontendArgs
    from pulumi_llm.cdn_frontend.component import CdnFrontend
    from pulumi_llm.gpu_inference_cluster.args_types import GpuInferenceClusterArgs
    from pulumi_llm.gpu_inference_cluster.component import GpuInferenceCluster
    from pulumi_llm.inference_network.args_types import InferenceNetworkArgs
    from pulumi_llm.inference_network.component import InferenceNetwork
    from pulumi_llm.knowledge_base.args_types import KnowledgeBaseArgs
    from pulumi_llm.knowledge_base.component import KnowledgeBase
    from pulumi_llm.observability.args_types import ObservabilityArgs
    from pulumi_llm.observability.component import Observability
    from pulumi_llm.serverless_bedrock_api.args_types import ServerlessBedrockApiArgs
    from pulumi_llm.serverless_bedrock_api.component import ServerlessBedrockApi
    from pulumi_llm.stack_settings import SettingsError, StackSettings, load
    from pulumi_llm.usage_analytics.args_types import UsageAnalyticsArgs
    from pulumi_llm.usage_analytics.component import UsageAnalytics
    from pulumi_llm.websocket_chat.args_types import WebSocketChatArgs
    from pulumi_llm.websocket_chat.component import WebSocketChat
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "AccountBaseline": "account_baseline.component",
            "AccountBaselineArgs": "account_baseline.args_types",
            "AsyncInference": "async_inference.component",
            "AsyncInferenceArgs": "async_inference.args_types",
            "CdnFrontend": "cdn_frontend.component",
            "CdnFrontendArgs": "cdn_frontend.args_types",
            "GpuInferenceCluster": "gpu_inference_cluster.component",
            "GpuInferenceClusterArgs": "gpu_inference_cluster.args_types",
            "InferenceNetwork": "inference_network.component",
            "InferenceNetworkArgs": "inference_network.args_types",
            "KnowledgeBase": "knowledge_base.component",
            "KnowledgeBaseArgs": "knowledge_base.args_types",
            "Observability": "observability.component",
            "ObservabilityArgs": "observability.args_types",
            "ServerlessBedrockApi": "serverless_bedrock_api.component",
            "ServerlessBedrockApiArgs": "serverless_bedrock_api.args_types",
            "UsageAnalytics": "usage_analytics.component",
            "UsageAnalyticsArgs": "usage_analytics.args_types",
            "WebSocketChat": "websocket_chat.component",
            "WebSocketChatArgs": "websocket_chat.args_types",
            "role_boundary": "boundaries",
            "SettingsError": "stack_settings",
            "StackSettings": "stack_settings",
            "load": "stack_settings",
        },
    )

__all__ = [
    "AccountBaseline",
    "AccountBaselineArgs",
    "AsyncInference",
    "AsyncInferenceArgs",
    "CdnFrontend",
    "CdnFrontendArgs",
    "GpuInferenceCluster",
    "GpuInferenceClusterArgs",
    "InferenceNetwork",
    "InferenceNetworkArgs",
    "KnowledgeBase",
    "KnowledgeBaseArgs",
    "Observability",
    "ObservabilityArgs",
    "ServerlessBedrockApi",
    "ServerlessBedrockApiArgs",
    "SettingsError",
    "StackSettings",
    "UsageAnalytics",
    "UsageAnalyticsArgs",
    "WebSocketChat",
    "WebSocketChatArgs",
    "load",
    "role_boundary",
]
