"""Stage 2: the caller may use the alias."""

from llm_gateway.errors import clipped, model_not_allowed, model_not_found, wrong_kind_of_model
from llm_gateway.identity.caller import Caller
from llm_gateway.request import Kind
from llm_gateway.routes import Alias, Routes


def authorize(caller: Caller, name: str, routes: Routes, kind: Kind = "chat") -> Alias:
    """Return the alias that `caller` asked for; for an empty name the first one of `kind` that the key may use.

    Raises the error 404 for an unknown alias, 403 for one that the key may not use, 400 for one of another kind.
    """
    allowed = allowed_models(caller, routes)
    if not name and allowed:
        name = next((each for each in routes.names(kind) if each in allowed), allowed[0])
    alias = allowed_alias(caller, name, routes)
    if alias.kind != kind:
        others = [each for each in routes.names(kind) if each in allowed]
        right = f"for {_USES[kind]} choose {', '.join(others)}" if others else f"there is no model for {_USES[kind]}"
        raise wrong_kind_of_model(name=alias.name, use=_USES[alias.kind], path=_PATHS[alias.kind], right=right, param="model")
    return alias


def allowed_alias(caller: Caller, name: str, routes: Routes) -> Alias:
    """Return the alias of that name, whatever it is for.

    Raises the error 404 for an unknown alias, 403 for one that the key may not use.
    """
    allowed = allowed_models(caller, routes)
    alias = routes.alias(name)
    if alias is None:
        raise model_not_found(name=clipped(name), known=", ".join(allowed), param="model")
    if alias.name not in allowed:
        raise model_not_allowed(name=alias.name, allowed=", ".join(allowed), param="model")
    return alias


_USES: dict[Kind, str] = {"chat": "chats", "embedding": "embeddings"}
_PATHS: dict[Kind, str] = {"chat": "/v1/chat/completions", "embedding": "/v1/embeddings"}


def allowed_models(caller: Caller, routes: Routes) -> list[str]:
    return [name for name in routes.names() if caller.models is None or name in caller.models]
