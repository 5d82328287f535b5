"""Who has signed a block of reasoning: a provider refuses the blocks of others, with 400.

Claude's signatures are passed on as they are. Its models take each other's blocks, or leave out what they cannot read, at
Anthropic and on Bedrock alike. What one refuses nevertheless, such as a block of another account, is asked again without it.
The signatures of any other model get its target's name, for they come back to whichever target the router chooses then.

https://platform.claude.com/docs/en/build-with-claude/preserved-thinking,
https://docs.claude.com/en/docs/build-with-claude/extended-thinking
"""

from collections.abc import Iterator

import msgspec

from llm_gateway.call import ModelCall, is_claude
from llm_gateway.events import Event, ReasoningSignature
from llm_gateway.request import Message, ReasoningBlock
from llm_gateway.routes import Target

_MARK = "signed-by:"


def with_own_reasoning(call: ModelCall) -> tuple[ModelCall, str]:
    """Return the call with those blocks of reasoning alone that its target's model has signed, and that signer.

    The blocks are as the model has signed them. The signer is what its signatures begin with here; empty for Claude's.
    """
    signer = _signer(call.target)
    if any(message.reasoning_blocks for message in call.messages):
        call = msgspec.structs.replace(call, messages=tuple(_own(message, signer) for message in call.messages))
    return call, signer


def _signer(target: Target) -> str:
    return "" if is_claude(target) else f"{_MARK}{target.name}:"


def with_signer(events: list[Event], signer: str) -> list[Event]:
    """Return the events of an answer with the signer in their signatures."""
    if ReasoningSignature not in map(type, events):
        return events
    return [_signed(event, signer) if isinstance(event, ReasoningSignature) else event for event in events]


def _signed(event: ReasoningSignature, signer: str) -> ReasoningSignature:
    return ReasoningSignature(signature=event.signature and signer + event.signature, data=event.data and signer + event.data)


def _own(message: Message, signer: str) -> Message:
    if not message.reasoning_blocks:
        return message
    own = {block: found for block in message.reasoning_blocks for found in _own_block(block, signer)}
    return msgspec.structs.replace(
        message,
        reasoning_blocks=tuple(own[block] for block in message.reasoning_blocks if block in own),
        order=tuple(
            own[part] if isinstance(part, ReasoningBlock) else part
            for part in message.order
            if not isinstance(part, ReasoningBlock) or part in own
        ),
    )


def _own_block(block: ReasoningBlock, signer: str) -> Iterator[ReasoningBlock]:
    """Yield the block, if it is the signer's."""
    value = block.data or block.signature
    if not signer and not value.startswith(_MARK):
        yield block
    elif signer and value.startswith(signer):
        signature, data = block.signature.removeprefix(signer), block.data.removeprefix(signer)
        yield ReasoningBlock(block.text, signature, data)
