"""The cache points of a request: where a provider's prompt cache ends what it keeps.

https://docs.aws.amazon.com/bedrock/latest/userguide/prompt-caching.html,
https://docs.anthropic.com/en/docs/build-with-claude/prompt-caching
"""

import msgspec

from llm_gateway.call import ModelCall

# What Claude takes in one request, at Anthropic and on Bedrock.
MOST_POINTS = 4


def with_cache_points(call: ModelCall) -> ModelCall:
    """Return the call with the caller's cache points, as far as the target takes them, and with those of its setting.

    The target's setting adds a point after the tools, the system text and the last message. One point after the last of the
    marked tools keeps all before it. Of more points than a provider takes, the earliest of the messages are left out. Below its
    minimum of tokens, a provider ignores a point.
    """
    if "prompt_caching" not in call.target.accepts:
        return msgspec.structs.replace(
            call,
            cache_system=False,
            tools=tuple(msgspec.structs.replace(tool, cache=False) for tool in call.tools),
            messages=tuple(msgspec.structs.replace(message, cache=False) for message in call.messages),
        )
    automatic = call.target.cache_prompts
    marked_tools = [at for at, tool in enumerate(call.tools) if tool.cache]
    last_tool = len(call.tools) - 1 if automatic else marked_tools[-1] if marked_tools else -1
    system = bool(call.system) and (call.cache_system or automatic)
    last_message = len(call.messages) - 1
    marked = [at for at, message in enumerate(call.messages) if message.cache or (automatic and at == last_message)]
    kept = marked[-(MOST_POINTS - (last_tool >= 0) - system) :]
    return msgspec.structs.replace(
        call,
        cache_system=system,
        tools=tuple(msgspec.structs.replace(tool, cache=at == last_tool) for at, tool in enumerate(call.tools)),
        messages=tuple(msgspec.structs.replace(message, cache=at in kept) for at, message in enumerate(call.messages)),
    )


def has_cache_points(call: ModelCall) -> bool:
    """Whether a request may have any: most have none, and need no copy."""
    return (
        call.target.cache_prompts
        or call.cache_system
        or any(tool.cache for tool in call.tools)
        or any(message.cache for message in call.messages)
    )
