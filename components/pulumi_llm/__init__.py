"""An LLM inference service in your own AWS account, as Pulumi components."""

from pulumi_llm.account_baseline import AccountBaseline, AccountBaselineArgs
from pulumi_llm.cdn_frontend import CdnFrontend, CdnFrontendArgs
from pulumi_llm.inference_network import InferenceNetwork, InferenceNetworkArgs
from pulumi_llm.observability import Observability, ObservabilityArgs
from pulumi_llm.serverless_bedrock_api import ServerlessBedrockApi, ServerlessBedrockApiArgs
from pulumi_llm.stack_settings import SettingsError, StackSettings, load
from pulumi_llm.websocket_chat import WebSocketChat, WebSocketChatArgs

__all__ = [
    "AccountBaseline",
    "AccountBaselineArgs",
    "CdnFrontend",
    "CdnFrontendArgs",
    "InferenceNetwork",
    "InferenceNetworkArgs",
    "Observability",
    "ObservabilityArgs",
    "ServerlessBedrockApi",
    "ServerlessBedrockApiArgs",
    "SettingsError",
    "StackSettings",
    "WebSocketChat",
    "WebSocketChatArgs",
    "load",
]
