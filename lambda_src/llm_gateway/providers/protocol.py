"""What is known of a provider's protocol before any of its code is loaded."""

from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec

from llm_gateway.request import CHAT_PARAMETERS, TOOL_PARAMETERS, Parameter


class ProviderProtocol(msgspec.Struct, frozen=True, kw_only=True):
    """One way to call models over HTTP. Its record stands beside its code, and `registry` lists it.

    `name` is the `type` of a provider in settings and in the routes document, `servers` says whose servers speak it.
    `dialect` is its class, ``module:class``. `added_paths` are what the dialect adds to the base URL, so a base URL must not
    end with any of them. `base_url` is the provider's own address, taken where settings name none; where `needs_key` is set,
    that address needs a key. `embeddings`: it has them, too. `always_caches`: its servers may keep parts of a prompt in a cache
    without being asked to.

    `accepts`, `exclusive`, `temperature_max` and `stop_max` are what a target is taken for where settings do not say.
    `further` and `lacking` are what servers of it take besides, and what they do not take, by their domains. `never_sent` are
    parameters that the dialect sends to no model, `names_max_tokens` says whether a target may choose the name that the bound
    of the answer is sent under.
    """

    name: str
    servers: str
    dialect: str
    added_paths: tuple[str, ...]
    embeddings: bool = False
    always_caches: bool = True
    base_url: str = ""
    needs_key: bool = False
    accepts: tuple[Parameter, ...] = (*CHAT_PARAMETERS, *TOOL_PARAMETERS)
    further: Mapping[str, tuple[Parameter, ...]] = {}
    lacking: Mapping[str, tuple[Parameter, ...]] = {}
    exclusive: tuple[Parameter, ...] = ()
    temperature_max: float
    stop_max: int | None = None
    never_sent: tuple[Parameter, ...] = ()
    names_max_tokens: bool = False

    def at(self, base_url: str) -> "ProviderProtocol":
        """Return the protocol as the server at an address speaks it."""
        host = urlsplit(base_url).hostname or ""
        accepts = self.accepts
        for domain in (*self.further, *self.lacking):
            if host == domain or host.endswith(f".{domain}"):
                lacking = self.lacking.get(domain, ())
                accepts = tuple(dict.fromkeys((*accepts, *self.further.get(domain, ()))))
                accepts = tuple(parameter for parameter in accepts if parameter not in lacking)
        return msgspec.structs.replace(self, accepts=accepts)
