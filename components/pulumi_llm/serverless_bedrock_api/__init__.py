"""ServerlessBedrockApi: a REST API in front of Amazon Bedrock."""

from typing import TYPE_CHECKING

from pulumi_llm.base.lazy_modules import lazy_exports

if TYPE_CHECKING:
    from pulumi_llm.serverless_bedrock_api.args_types import ServerlessBedrockApiArgs
    from pulumi_llm.serverless_bedrock_api.component import ServerlessBedrockApi
else:
    __getattr__, __dir__ = lazy_exports(
        __name__, {"ServerlessBedrockApi": "component", "ServerlessBedrockApiArgs": "args_types"}
    )

__all__ = ["ServerlessBedrockApi", "ServerlessBedrockApiArgs"]
