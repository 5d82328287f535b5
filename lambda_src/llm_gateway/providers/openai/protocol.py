"""OpenAI's protocol, as any server that is compatible with it speaks it."""

from llm_gateway.providers.protocol import ProviderProtocol
from llm_gateway.request import CHAT_PARAMETERS, TOOL_PARAMETERS

# https://platform.openai.com/docs/api-reference/chat/create
OPENAI_COMPATIBLE = ProviderProtocol(
    name="openai_compatible",
    servers="OpenAI, DeepSeek, vLLM and others",
    dialect="llm_gateway.providers.openai.dialect:OpenAICompatible",
    added_paths=("/chat/completions",),
    accepts=(
        *CHAT_PARAMETERS,
        *TOOL_PARAMETERS,
        "json_object",
        "json_schema",
        "forced_tools",
        "strict_tools",
        "parallel_tool_calls",
    ),
    # https://api-docs.deepseek.com/api/create-chat-completion
    lacking={"deepseek.com": ("json_schema", "strict_tools", "parallel_tool_calls")},
    temperature_max=2.0,
    stop_max=4,
    names_max_tokens=True,
)
