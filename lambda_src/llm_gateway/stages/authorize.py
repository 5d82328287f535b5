"""Stage 2: the caller may use the alias."""

from llm_gateway.errors import clipped, model_not_allowed, model_not_found
from llm_gateway.identity.caller import Caller
from llm_gateway.routes import Alias, Routes


def authorize(caller: Caller, name: str, routes: Routes) -> Alias:
    """Return the alias that `caller` asked for; for an empty name the first one that the key may use.

    Raises the error 404 for an unknown alias, 403 for one that the key may not use.
    """
    allowed = allowed_models(caller, routes)
    if not name and allowed:
        name = allowed[0]
    alias = routes.alias(name)
    if alias is None:
        raise model_not_found(name=clipped(name), known=", ".join(allowed), param="model")
    if alias.name not in allowed:
        raise model_not_allowed(name=alias.name, allowed=", ".join(allowed), param="model")
    return alias


def allowed_models(caller: Caller, routes: Routes) -> list[str]:
    return [name for name in routes.names() if caller.models is None or name in caller.models]
