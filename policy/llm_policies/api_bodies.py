"""OpenAPI documents of REST and HTTP APIs: the operations in one that anyone may call."""

import functools
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, cast

from llm_policies.values import Value

_VERBS: Final = ("get", "put", "post", "delete", "head", "patch", "x-amazon-apigateway-any-method")


def open_operations(body: Value, public: Sequence[str], *, rest: bool) -> list[str]:
    """The operations without authorization, each as `POST /chat`. Those of a browser's OPTIONS are not among them.

    `public`: the last parts of paths that anyone may GET. `rest`: whether it is a REST API's document, not an HTTP API's.
    """
    document = _Object(_parsed(body.text()))
    schemes = {**document["components"]["securitySchemes"].held, **document["securityDefinitions"].held}
    enforced = {name for name, scheme in schemes.items() if _is_enforced(_Object(scheme), rest)}
    # https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-known-issues.html: a REST API "doesn't use root
    # level security".
    root = None if rest else document.held.get("security")
    found: list[str] = []
    for path, verb, operation in _operations(document):
        part = path.rstrip("/").rpartition("/")[2] or "/"
        if verb in ("GET", "HEAD") and part in public:
            continue
        if not _is_authorized(operation, operation.held.get("security", root), enforced):
            found.append(f"{verb} {path}")
    return found


class _Object:
    """A JSON object, or what stands in the place of one, read without a check of each step."""

    def __init__(self, data: Any) -> None:
        self.held: Mapping[str, Any] = cast("Mapping[str, Any]", data) if isinstance(data, Mapping) else {}

    def __getitem__(self, key: str) -> "_Object":
        return _Object(self.held.get(key))


def _operations(document: _Object) -> Iterator[tuple[str, str, _Object]]:
    for path, item in document["paths"].held.items():
        for verb, operation in _Object(item).held.items():
            if str(verb).lower() in _VERBS:
                yield str(path), "ANY" if str(verb).startswith("x-") else str(verb).upper(), _Object(operation)


def _is_authorized(operation: _Object, security: Any, enforced: set[str]) -> bool:
    kind = operation["x-amazon-apigateway-auth"].held.get("type")
    if isinstance(kind, str) and kind.upper() != "NONE":
        return True
    demands = [_Object(one).held for one in cast("list[Any]", security)] if isinstance(security, list) else []
    # `{}` among the alternatives lets in who brings nothing.
    return bool(demands) and all(any(name in enforced for name in demand) for demand in demands)


def _is_enforced(scheme: _Object, rest: bool) -> bool:
    """Whether API Gateway asks for what a security scheme describes: without its extensions it is only documentation."""
    if scheme["x-amazon-apigateway-authorizer"].held:
        return True
    if str(scheme.held.get("x-amazon-apigateway-authtype", "")).lower().startswith("aws"):
        return True
    # https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-api-key-source.html: keys are of REST APIs
    header = scheme.held.get("in") == "header" and str(scheme.held.get("name", "")).lower() == "x-api-key"
    return rest and scheme.held.get("type") == "apiKey" and header


@functools.lru_cache(maxsize=64)
def _parsed(text: str) -> Any:
    """A document in JSON or YAML; None if it is neither. The data is cached: do not change it."""
    try:
        return json.loads(text)
    except ValueError:
        pass
    import yaml

    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):
        return None
