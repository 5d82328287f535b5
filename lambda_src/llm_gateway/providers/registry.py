"""The protocols that a provider may speak, by their names. Their code is loaded only where an endpoint needs it."""

from llm_gateway.providers.anthropic.protocol import ANTHROPIC
from llm_gateway.providers.openai.protocol import OPENAI_COMPATIBLE
from llm_gateway.providers.protocol import ProviderProtocol

PROTOCOLS: dict[str, ProviderProtocol] = {
    protocol.name: protocol
    for protocol in (
        OPENAI_COMPATIBLE,
        ANTHROPIC,
    )
}
