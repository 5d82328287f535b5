"""The protocols that a provider may speak, by their names. Their code is loaded only where an endpoint needs it."""

from collections.abc import Iterable

from llm_gateway.providers.anthropic.protocol import ANTHROPIC
from llm_gateway.providers.openai.protocol import OPENAI_COMPATIBLE
from llm_gateway.providers.protocol import ProviderProtocol
from llm_gateway.routes import Endpoint

PROTOCOLS: dict[str, ProviderProtocol] = {
    protocol.name: protocol
    for protocol in (
        OPENAI_COMPATIBLE,
        ANTHROPIC,
    )
}


def always_caching(endpoints: Iterable[Endpoint]) -> list[str]:
    """Return the names of the providers whose prompt cache cannot be switched off."""
    return [endpoint.name for endpoint in endpoints if PROTOCOLS[endpoint.type].always_caches]
