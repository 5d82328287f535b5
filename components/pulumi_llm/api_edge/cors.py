"""Cross-origin requests: which origins browsers may call from, and what API Gateway answers them by itself.

https://fetch.spec.whatwg.org/#http-cors-protocol
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, cast

import pulumi
from pydantic import AfterValidator, BeforeValidator, Field

from pulumi_llm.base.settings import Input, form

# Quotes are left out, for API Gateway's parameters and templates stand in them.
_ORIGIN = form(r"\*|https?://[A-Za-z0-9.:\[\]-]+", "an origin, such as https://chat.example.com, or '*'")
_Origin = Annotated[str, _ORIGIN]


def _as_list(value: Any) -> Any:
    """Take one origin for a list of one."""
    if isinstance(value, bool | int | float):
        raise ValueError(f"must be an origin, or a list of origins, not {value}")
    return (_ORIGIN.func(value),) if isinstance(value, str) else value  # type: ignore[call-arg]


def _together(origins: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(origins) > 1 and "*" in [origin for origin in origins if isinstance(origin, str)]:
        raise ValueError("'*' allows every origin; give it alone")
    return origins


# One origin, or several.
Origins = Annotated[
    tuple[Input[_Origin], ...], BeforeValidator(_as_list), Field(min_length=1, max_length=50), AfterValidator(_together)
]


class Cors:
    """The origins that browsers may call from.

    A response allows one origin. Of several, a preflight's response and the function's name the request's own, by a template
    and by code; another origin gets the first one, so that its browser refuses the response.
    """

    def __init__(self, origins: pulumi.Input[Sequence[pulumi.Input[str]]]) -> None:
        # Its type does not say that the items are resolved too.
        self._origins = cast("pulumi.Output[Sequence[str]]", pulumi.Output.from_input(origins))
        self.variable = self._origins.apply(",".join)
        """The origins as the function's environment has them."""
        self.error_origin = self._origins.apply(lambda origins: origins[0] if len(origins) == 1 else "*")
        """The origin in gateway responses, which take fixed values only: for several it is "*". They hold no data.
        https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-gatewayResponse-definition.html
        """

    def preflight_headers(self, headers: Mapping[str, str]) -> pulumi.Output[Mapping[str, str]]:
        """Return the headers of a preflight's response: these, and those that name the origin."""

        def with_origin(origins: Sequence[str]) -> Mapping[str, str]:
            vary = {"Vary": "Origin"} if len(origins) > 1 else {}
            return {"Access-Control-Allow-Origin": origins[0], **headers, **vary}

        return self._origins.apply(with_origin)

    def preflight_templates(self) -> pulumi.Output[Mapping[str, str] | None]:
        """Return the response templates that name the request's origin if it is one of several."""
        return self._origins.apply(lambda origins: {"application/json": _template(origins)} if len(origins) > 1 else None)


def _template(origins: Sequence[str]) -> str:
    """Return a template that replaces the fixed header by the request's origin if that is allowed.

    A header's name is as the client wrote it: small over HTTP/2.
    https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-override-request-response-parameters.html
    """
    allowed = " || ".join(f'$origin == "{origin}"' for origin in origins)
    return (
        '#set($origin = $input.params("Origin"))\n'
        '#if($origin == "")#set($origin = $input.params("origin"))#end\n'
        f"#if({allowed})#set($context.responseOverride.header.Access-Control-Allow-Origin = $origin)#end"
    )
