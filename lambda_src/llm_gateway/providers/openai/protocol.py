"""OpenAI's protocol, as any server that is compatible with it speaks it."""

from llm_gateway.providers.protocol import ProviderProtocol

# https://platform.openai.com/docs/api-reference/chat/create
OPENAI_COMPATIBLE = ProviderProtocol(
    name="openai_compatible",
    servers="OpenAI, DeepSeek, vLLM and others",
    dialect="llm_gateway.providers.openai.dialect:OpenAICompatible",
    added_paths=("/chat/completions",),
    temperature_max=2.0,
    stop_max=4,
    names_max_tokens=True,
)
