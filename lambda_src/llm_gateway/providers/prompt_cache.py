"""The cache points of a request: where a provider's prompt cache ends what it keeps.

https://docs.aws.amazon.com/bedrock/latest/userguide/prompt-caching.html,
https://docs.anthropic.com/en/docs/build-with-claude/prompt-caching
"""

import msgspec

from llm_gateway.call import ModelCall, is_claude, is_nova
from llm_gateway.providers.reasoning import claude_version
from llm_gateway.request import Cache
from llm_gateway.routes import BEDROCK, Target

# What Claude takes in one request, at Anthropic and on Bedrock.
MOST_POINTS = 4


def with_cache_points(call: ModelCall) -> ModelCall:
    """Return the call with the caller's cache points, as far as the target takes them, and with those of its setting.

    The target's setting adds a point after the tools, the system text and the last message. One point after the last of the
    marked tools keeps all before it. Of more points than a provider takes, the earliest of the messages are left out. Below its
    minimum of tokens, a provider ignores a point. A point that is kept for an hour makes those before it such, for a provider
    refuses it after others.
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
    if call.target.provider == BEDROCK and is_nova(call.target):  # which refuses one (danny-avila/LibreChat#13838)
        last_tool = -1
    system = bool(call.system) and bool(call.cache_system or automatic)
    last_message = len(call.messages) - 1
    marked = [at for at, message in enumerate(call.messages) if message.cache or (automatic and at == last_message)]
    kept = marked[-(MOST_POINTS - (last_tool >= 0) - system) :]
    points = [
        *(call.tools[at].cache if at == last_tool else False for at in range(len(call.tools))),
        call.cache_system if system else False,
        *(message.cache if at in kept else False for at, message in enumerate(call.messages)),
    ]
    last_hour = max((at for at, cache in enumerate(points) if cache == "1h"), default=-1) if _takes_an_hour(call.target) else -1

    def point(at: int, wanted: bool) -> Cache:
        return ("1h" if at <= last_hour else True) if wanted else False

    tools = len(call.tools)
    return msgspec.structs.replace(
        call,
        cache_system=point(tools, system),
        tools=tuple(msgspec.structs.replace(tool, cache=point(at, at == last_tool)) for at, tool in enumerate(call.tools)),
        messages=tuple(
            msgspec.structs.replace(message, cache=point(tools + 1 + at, at in kept))
            for at, message in enumerate(call.messages)
        ),
    )


def _takes_an_hour(target: Target) -> bool:
    """Whether a point may be kept for an hour. On Bedrock, only since Claude 4.5.

    https://docs.aws.amazon.com/bedrock/latest/userguide/prompt-caching.html
    """
    if target.provider != BEDROCK:
        return True
    return is_claude(target) and claude_version(target) >= (4, 5)


def has_cache_points(call: ModelCall) -> bool:
    """Whether a request may have any: most have none, and need no copy."""
    return (
        call.target.cache_prompts
        or bool(call.cache_system)
        or any(tool.cache for tool in call.tools)
        or any(message.cache for message in call.messages)
    )
