"""OpenAI's protocol, as any server that is compatible with it speaks it."""

from llm_gateway.providers.protocol import ProviderProtocol
from llm_gateway.request import CHAT_PARAMETERS, TOOL_PARAMETERS, Parameter

# What all of OpenAI's models take, and no server that ignores or refuses it. `metadata` needs `store` there; `verbosity` and
# `prediction` are for some models.
_OPENAI: tuple[Parameter, ...] = (
    *("frequency_penalty", "presence_penalty", "logit_bias", "logprobs"),
    *("seed", "user", "prompt_cache_key", "safety_identifier"),
)
_FURTHER: dict[str, tuple[Parameter, ...]] = {
    "openai.com": (*_OPENAI, "system_messages"),
    "openai.azure.com": ("system_messages", "frequency_penalty", "presence_penalty", "logit_bias", "logprobs", "seed", "user"),
    "deepseek.com": ("frequency_penalty", "presence_penalty", "logprobs"),
}

# https://platform.openai.com/docs/api-reference/chat/create
OPENAI_COMPATIBLE = ProviderProtocol(
    name="openai_compatible",
    servers="OpenAI, DeepSeek, vLLM and others",
    dialect="llm_gateway.providers.openai.dialect:OpenAICompatible",
    added_paths=("/chat/completions", "/embeddings"),
    embeddings=True,
    accepts=(
        *CHAT_PARAMETERS,
        *TOOL_PARAMETERS,
        "json_object",
        "json_schema",
        "forced_tools",
        "strict_tools",
        "parallel_tool_calls",
    ),
    further=_FURTHER,
    # https://api-docs.deepseek.com/api/create-chat-completion
    lacking={"deepseek.com": ("json_schema", "strict_tools", "parallel_tool_calls")},
    temperature_max=2.0,
    stop_max=4,
    names_max_tokens=True,
    never_sent=("anthropic_tools",),
)
