"""Response headers policies: the headers that CloudFront adds to what it answers, or takes away.

https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/understanding-response-headers-policies.html
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from multidict import CIMultiDict

from pulumi_llm_local.program.graph import Graph

POLICY = "aws:cloudfront/responseHeadersPolicy:ResponseHeadersPolicy"


@dataclass(frozen=True)
class ResponseHeaders:
    """Headers to set: each with its value, and whether it replaces the origin's. `removed` are taken away."""

    headers: tuple[tuple[str, str, bool], ...]
    removed: tuple[str, ...] = ()

    def apply(self, headers: CIMultiDict[str]) -> None:
        """Change a response's headers."""
        for name in self.removed:
            headers.popall(name, None)
        for name, value, override in self.headers:
            if override or name not in headers:
                headers[name] = value


# https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/using-managed-response-headers-policies.html
_SECURITY_HEADERS = ResponseHeaders(
    (
        ("referrer-policy", "strict-origin-when-cross-origin", False),
        ("strict-transport-security", "max-age=31536000", False),
        ("x-content-type-options", "nosniff", True),
        ("x-frame-options", "SAMEORIGIN", False),
        ("x-xss-protection", "1; mode=block", False),
    )
)
_MANAGED: Mapping[str, ResponseHeaders] = {"67f7725c-6f97-4210-82d7-5512b31e9d03": _SECURITY_HEADERS}


def find_policy(graph: Graph, identifier: str) -> ResponseHeaders | None:
    """The policy of an id: the program's own, or one that AWS manages. None where it is not played."""
    own = next((policy for policy in graph.of_type(POLICY) if policy.id == identifier), None)
    return _own(own.state) if own is not None else _MANAGED.get(identifier)


def _own(state: Mapping[str, Any]) -> ResponseHeaders:
    security: dict[str, dict[str, Any]] = state.get("securityHeadersConfig") or {}
    custom: dict[str, list[dict[str, Any]]] = state.get("customHeadersConfig") or {}
    removed: dict[str, list[dict[str, Any]]] = state.get("removeHeadersConfig") or {}
    headers = [
        (name, _value(kind, security[kind]), bool(security[kind]["override"]))
        for kind, name in _NAMES.items()
        if kind in security
    ]
    headers += [(str(item["header"]), str(item["value"]), bool(item["override"])) for item in custom.get("items", [])]
    return ResponseHeaders(tuple(headers), tuple(str(item["header"]) for item in removed.get("items", [])))


_NAMES = {
    "contentSecurityPolicy": "content-security-policy",
    "contentTypeOptions": "x-content-type-options",
    "frameOptions": "x-frame-options",
    "referrerPolicy": "referrer-policy",
    "strictTransportSecurity": "strict-transport-security",
    "xssProtection": "x-xss-protection",
}


def _value(kind: str, config: Mapping[str, Any]) -> str:
    match kind:
        case "contentTypeOptions":
            return "nosniff"
        case "frameOptions":
            return str(config["frameOption"])
        case "strictTransportSecurity":
            more = "; includeSubDomains" * bool(config.get("includeSubdomains")) + "; preload" * bool(config.get("preload"))
            return f"max-age={int(config['accessControlMaxAgeSec'])}{more}"
        case "xssProtection":
            return ("1" if config["protection"] else "0") + "; mode=block" * bool(config.get("modeBlock"))
        case _:
            return str(config[kind])
