"""The protocol of Anthropic's Messages API."""

from llm_gateway.providers.protocol import ProviderProtocol
from llm_gateway.request import CHAT_PARAMETERS, TOOL_PARAMETERS

# https://docs.anthropic.com/en/api/overview, https://docs.anthropic.com/en/api/messages
ANTHROPIC = ProviderProtocol(
    name="anthropic",
    servers="Anthropic",
    dialect="llm_gateway.providers.anthropic.dialect:Anthropic",
    added_paths=("/v1/messages", "/v1"),
    base_url="https://api.anthropic.com",
    needs_key=True,
    always_caches=False,  # https://platform.claude.com/docs/en/build-with-claude/prompt-caching
    # The newest models refuse a forced tool choice: https://platform.claude.com/docs/en/about-claude/models/migration-guide
    accepts=(
        *(*CHAT_PARAMETERS, *TOOL_PARAMETERS, "closed_json_schema", "strict_tools", "parallel_tool_calls", "anthropic_tools"),
        *("images", "image_urls", "documents", "prompt_caching"),
        *("reasoning_effort", "reasoning_content", "user", "safety_identifier", "service_tier"),
    ),
    exclusive=("temperature", "top_p"),  # Claude since 4.5 takes one of them, not both
    temperature_max=1.0,
    never_sent=("json_object", "json_schema"),
)
