"""Stage 2: the caller may use the alias."""

from typing import Protocol

from llm_gateway.errors import GatewayError, clipped, model_not_allowed, model_not_found, wrong_kind_of_model
from llm_gateway.identity.caller import Caller
from llm_gateway.request import Kind
from llm_gateway.routes import Alias, Routes


class Rules(Protocol):
    """The rules of callers."""

    def usable(self, alias: Alias, caller: Caller) -> Alias:
        """Return what they leave of an alias. Raises the error 403 if it is nothing."""
        ...


def authorize(caller: Caller, name: str, routes: Routes, kind: Kind = "chat", rules: Rules | None = None) -> Alias:
    """Return the alias that `caller` asked for; for an empty name the first one of `kind` that the key may use.

    The rules of callers come after it: here they only decide which aliases an error recommends. Raises the error 404 for an
    unknown alias, 403 for one that the key may not use, 400 for one of another kind.
    """
    allowed = allowed_models(caller, routes)
    if not name and allowed:
        name = next((each for each in routes.names(kind) if each in allowed), allowed[0])
    alias = allowed_alias(caller, name, routes, rules)
    if alias.kind != kind:
        others = [each.name for each in usable_aliases(caller, routes, rules) if each.kind == kind]
        right = f"for {_USES[kind]} choose {', '.join(others)}" if others else f"there is no model for {_USES[kind]}"
        raise wrong_kind_of_model(name=alias.name, use=_USES[alias.kind], path=_PATHS[alias.kind], right=right, param="model")
    return alias


def allowed_alias(caller: Caller, name: str, routes: Routes, rules: Rules | None = None) -> Alias:
    """Return the alias of that name, whatever it is for.

    Raises the error 404 for an unknown alias, 403 for one that the key may not use.
    """
    alias = routes.alias(name)
    if alias is None:
        raise model_not_found(name=clipped(name), known=_names(caller, routes, rules), param="model")
    if alias.name not in allowed_models(caller, routes):
        raise model_not_allowed(name=alias.name, allowed=_names(caller, routes, rules), param="model")
    return alias


def usable_aliases(caller: Caller, routes: Routes, rules: Rules | None) -> list[Alias]:
    """Return the aliases that the caller may use, as the rules leave them."""
    allowed, found = allowed_models(caller, routes), list[Alias]()
    for alias in routes.aliases:
        if alias.name in allowed:
            try:
                found.append(alias if rules is None else rules.usable(alias, caller))
            except GatewayError:
                continue
    return found


def _names(caller: Caller, routes: Routes, rules: Rules | None) -> str:
    return ", ".join(alias.name for alias in usable_aliases(caller, routes, rules)) or "none"


_USES: dict[Kind, str] = {"chat": "chats", "embedding": "embeddings"}
_PATHS: dict[Kind, str] = {"chat": "/v1/chat/completions", "embedding": "/v1/embeddings"}


def allowed_models(caller: Caller, routes: Routes) -> list[str]:
    return [name for name in routes.names() if caller.models is None or name in caller.models]
