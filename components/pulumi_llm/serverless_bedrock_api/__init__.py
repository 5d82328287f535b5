"""ServerlessBedrockApi: a REST API in front of Amazon Bedrock."""

from pulumi_llm.serverless_bedrock_api.args_types import ServerlessBedrockApiArgs
from pulumi_llm.serverless_bedrock_api.component import ServerlessBedrockApi

__all__ = ["ServerlessBedrockApi", "ServerlessBedrockApiArgs"]
