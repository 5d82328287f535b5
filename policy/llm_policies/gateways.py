"""Rules for API Gateway: who may call an API, and how often."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, cast

from llm_policies import api_bodies
from llm_policies.rule import STRINGS, Resource, Rule, Setting, Settings
from llm_policies.stacks import Found, came_from, each_resource, of_type, refers, share
from llm_policies.values import NotVerified, Value, each, some
from llm_policies.web_acls import WEB_ACL, limits_rate

STAGE: Final = "aws:apigateway/stage:Stage"
_METHOD: Final = "aws:apigateway/method:Method"
_RESOURCE: Final = "aws:apigateway/resource:Resource"
_REST_API: Final = "aws:apigateway/restApi:RestApi"
_API_KEY: Final = "aws:apigateway/apiKey:ApiKey"
_PLAN: Final = "aws:apigateway/usagePlan:UsagePlan"
_PLAN_KEY: Final = "aws:apigateway/usagePlanKey:UsagePlanKey"
_METHOD_SETTINGS: Final = "aws:apigateway/methodSettings:MethodSettings"
_REST_API_PUT: Final = "aws:apigateway/restApiPut:RestApiPut"
_API_V2: Final = "aws:apigatewayv2/api:Api"
_ROUTE: Final = "aws:apigatewayv2/route:Route"
_STAGE_V2: Final = "aws:apigatewayv2/stage:Stage"
_ASSOCIATION: Final = "aws:wafv2/webAclAssociation:WebAclAssociation"

STAGE_LIMITS: Final = (STAGE, _REST_API, _METHOD_SETTINGS, _PLAN, _ASSOCIATION)
"""The resource types that limit how often a stage may be called, except web ACLs."""

RATE: Final[Mapping[str, Setting]] = {
    "requests_per_second": Setting(
        1_000,
        {"type": "number", "minimum": 0},
        "The highest rate that is a limit: an account has 10,000 by itself, $100 a second at a cent an answer.",
    ),
    "burst": Setting(
        2_000, {"type": "integer", "minimum": 0}, "The highest burst that is a limit: an account has 5,000 by itself."
    ),
}
"""The settings of every rule on throttles."""


# Rates


def _is_throttle(rate: Value, burst: Value, settings: Settings, lowest: float = 1e-9) -> bool:
    """Whether two numbers are limits, and not what the account allows anyway."""
    return lowest <= rate.number(-1) <= settings["requests_per_second"] and lowest <= burst.number(-1) <= settings["burst"]


def stage_throttled(resources: Sequence[Resource], settings: Settings) -> Found:
    def check(stage: Resource) -> Iterator[str]:
        def throttles(other: Resource) -> bool:
            if other.type == _METHOD_SETTINGS:
                return _settings_throttle(other, stage, settings)
            if other.type == _PLAN:
                return _plan_throttles(other, stage, settings)
            return _acl_throttles(other, stage, resources, settings)

        if not some(of_type(resources, _METHOD_SETTINGS, _PLAN, _ASSOCIATION), throttles):
            yield (
                "stageName: nothing limits the stage's rate: no method settings for */*, no usage plan, no web ACL, or none "
                "with a number that is a limit"
            )

    def method(other: Resource) -> Iterator[str]:
        # What a method's settings leave out is -1, which takes the stage's own limit off that method.
        if not other["methodPath"].equals("*/*") and not _settings_limit(other, settings):
            yield (
                f"settings: {other['methodPath'].text()} has settings of its own, without throttlingRateLimit and "
                "throttlingBurstLimit that are limits: those of */* do not hold for it"
            )

    yield from each_resource(of_type(resources, STAGE), check)
    yield from each_resource(of_type(resources, _METHOD_SETTINGS), method)


def _settings_limit(other: Resource, settings: Settings) -> bool:
    # A limit of -1, the default, is none; a rate of 0 lets nothing through, which is a limit.
    rate, burst = other.at("settings.throttlingRateLimit"), other.at("settings.throttlingBurstLimit")
    return _is_throttle(rate, burst, settings, lowest=0)


def _settings_throttle(other: Resource, stage: Resource, settings: Settings) -> bool:
    if not other["methodPath"].equals("*/*") or not _settings_limit(other, settings):
        return False
    if came_from(other, "stageName", STAGE):
        return refers(other, "stageName", stage)
    return other["stageName"].text() == stage["stageName"].text() and share(other, stage, "restApi")


def _plan_throttles(plan: Resource, stage: Resource, settings: Settings) -> bool:
    throttle = plan["throttleSettings"]
    if not _is_throttle(throttle["rateLimit"], throttle["burstLimit"], settings):
        return False
    if came_from(plan, "apiStages", STAGE):
        return refers(plan, "apiStages", stage)
    covered = [entry for entry in plan["apiStages"].items() if entry["stage"].text() == stage["stageName"].text()]
    return any(entry["apiId"].text() == stage["restApi"].text() for entry in covered)


def _acl_throttles(link: Resource, stage: Resource, resources: Sequence[Resource], settings: Settings) -> bool:
    if not _is_before(link, stage):
        return False
    for acl in of_type(resources, WEB_ACL):
        if refers(link, "webAclArn", acl, "arn"):
            return limits_rate(acl, resources, settings)
    raise NotVerified(link["webAclArn"].path)  # an ACL of another stack: what it holds can't be seen


def _is_before(link: Resource, stage: Resource) -> bool:
    """Whether an association puts its web ACL before a stage."""
    if came_from(link, "resourceArn", STAGE):
        return refers(link, "resourceArn", stage)
    # arn:aws:apigateway:REGION::/restapis/API/stages/STAGE
    api, _, name = link["resourceArn"].text().rpartition("/stages/")
    return bool(api) and name == stage["stageName"].text() and api.rpartition("/")[2] == stage["restApi"].text()


def _stage_has_acl(resources: Sequence[Resource], _: Settings) -> Found:
    def check(stage: Resource) -> Iterator[str]:
        apis = [api for api in of_type(resources, _REST_API) if refers(stage, "restApi", api, "id")]
        if any(api.at("endpointConfiguration.types").equals("PRIVATE", ["PRIVATE"]) for api in apis):
            return  # only VPC endpoints reach it
        if not some(of_type(resources, _ASSOCIATION), lambda link: _is_before(link, stage)):
            yield "no web ACL is associated with the stage: nothing limits what an address may ask of it"

    yield from each_resource(of_type(resources, STAGE), check)


_DAYS: Final = {"DAY": 1, "WEEK": 7, "MONTH": 30}


def _plan_limited(resource: Resource, settings: Settings) -> Iterator[str]:
    throttle = resource["throttleSettings"]
    if not _is_throttle(throttle["rateLimit"], throttle["burstLimit"], settings):
        yield (
            "throttleSettings: burstLimit and rateLimit missing, or no limits: a key of the plan may ask as fast as it likes"
        )
    quota, most = resource["quotaSettings"], settings["requests_per_day"]
    if quota["limit"].number() <= 0:
        yield "quotaSettings: a key of the plan may ask without end; set a limit by DAY, WEEK or MONTH"
    elif quota["limit"].number() > most * _DAYS.get(quota["period"].text("DAY"), 1):
        yield f"quotaSettings: {quota['limit'].number():,.0f} a {quota['period'].text('DAY')} are no limit; {most:,} a day are"

    def method(one: Value) -> Iterator[str]:
        if not _is_throttle(one["rateLimit"], one["burstLimit"], settings):
            yield f"{one.path}: {one['path'].text()} has limits of its own, which are none: the plan's do not hold for it"

    yield from each(resource["apiStages"].items(), lambda stage: each(stage["throttles"].items(), method))


def _keys_in_plan(resources: Sequence[Resource], _: Settings) -> Found:
    links = of_type(resources, _PLAN_KEY)

    def check(key: Resource) -> Iterator[str]:
        if not key["enabled"].flag(default=True):
            return
        if not some(links, lambda link: refers(link, "keyId", key, "id")):
            yield "id: the key is in no usage plan, so that nothing limits it; add a UsagePlanKey"

    yield from each_resource(of_type(resources, _API_KEY), check)


def _stage_v2_throttled(resources: Sequence[Resource], settings: Settings) -> Found:
    names = {"throttlingBurstLimit": settings["burst"], "throttlingRateLimit": settings["requests_per_second"]}

    def check(stage: Resource) -> Iterator[str]:
        default = stage["defaultRouteSettings"]
        missing = [name for name, most in names.items() if not 0 < default[name].number() <= most]
        if missing and not _every_route_has_settings(stage, resources):
            yield f"defaultRouteSettings: {' and '.join(missing)} missing or no limit: the stage takes what the account takes"

        def route(one: Value) -> Iterator[str]:
            # What a route's settings leave out is 0, which lets nothing through.
            if over := [name for name, most in names.items() if one[name].number() > most]:
                yield (
                    f"{one.path}: {one['routeKey'].text()} has a {' and a '.join(over)} of its own, which is no limit: the "
                    "default does not hold for it"
                )

        yield from each(stage["routeSettings"].items(), route)

    yield from each_resource(of_type(resources, _STAGE_V2), check)


def _every_route_has_settings(stage: Resource, resources: Sequence[Resource]) -> bool:
    """Whether the stage's routes are all seen, and each has settings of its own there, so that the default holds for none."""
    keys = {one["routeKey"].text() for one in stage["routeSettings"].items()}
    if not keys:
        return False
    apis = [api for api in of_type(resources, _API_V2) if refers(stage, "apiId", api, "id")]
    if not apis or any(not api[name].missing for api in apis for name in ("body", "target")):
        return False  # routes may stand elsewhere, or are made of a document or a target
    routes = [route for route in of_type(resources, _ROUTE) if share(route, stage, "apiId")]
    return bool(routes) and all(route["routeKey"].text() in keys for route in routes)


# Authorization


def _method_authorized(resources: Sequence[Resource], settings: Settings) -> Found:
    public = cast("list[str]", settings["public_paths"])

    def check(method: Resource) -> Iterator[str]:
        if not method["authorization"].equals("NONE") or method["apiKeyRequired"].flag():
            return
        verb = method["httpMethod"].text().upper()
        if verb == "OPTIONS":  # browsers ask for permission without credentials
            return
        part = _path_part(method, resources) if verb in ("GET", "HEAD") else ""
        if part not in public:
            called = f"{verb} {part}".strip()
            yield f"authorization: anyone may call {called}; ask for an authorizer, AWS_IAM or an API key"

    yield from each_resource(of_type(resources, _METHOD), check)
    yield from each_resource(of_type(resources, _REST_API, _REST_API_PUT), lambda api: _body_authorized(api, public))


def _body_authorized(api: Resource, public: Sequence[str]) -> Iterator[str]:
    """Check the operations of an API's OpenAPI document."""
    if api["body"].missing:
        return
    if found := api_bodies.open_operations(api["body"], public, rest=api.type != _API_V2):
        listed = ", ".join(found[:3]) + (f" and {len(found) - 3} more" if len(found) > 3 else "")
        yield (
            f"body: anyone may call {listed}; give each operation `security` with a scheme that has an "
            "x-amazon-apigateway-authorizer, or x-amazon-apigateway-auth"
        )


def _path_part(method: Resource, resources: Sequence[Resource]) -> str:
    """The last part of a method's path, `/` for the root. Empty if its resource is not in this stack."""
    if came_from(method, "resourceId", _REST_API):
        return "/"
    for resource in came_from(method, "resourceId", _RESOURCE):
        return resource["pathPart"].text()
    identifier = method["resourceId"].text()
    for resource in of_type(resources, _RESOURCE):
        if resource["id"].data == identifier:
            return resource["pathPart"].text()
    roots = [api["rootResourceId"].data for api in of_type(resources, _REST_API)]
    return "/" if identifier in roots else ""


def _route_authorized(resources: Sequence[Resource], settings: Settings) -> Found:
    public = cast("list[str]", settings["public_paths"])

    def check(resource: Resource) -> Iterator[str]:
        if resource.type == _API_V2:
            yield from _body_authorized(resource, public)
            if resource["protocolType"].equals("HTTP") and not resource["target"].missing:
                yield "target: makes a route that anyone may call; write a Route with authorizationType instead"
            return
        if _connects_unasked(resource, resources):
            yield "apiId: the WebSocket API has no route $connect, so that anyone connects and calls its routes"
        if not resource["authorizationType"].equals(None, "", "NONE"):
            return
        key = resource["routeKey"].text()
        if key == "$connect" and resource["apiKeyRequired"].flag():
            return
        verb, _, path = key.partition(" ")
        if verb == "OPTIONS" or (verb in ("GET", "HEAD") and (path.rstrip("/").rpartition("/")[2] or "/") in public):
            return
        # A WebSocket is authorized once, as it connects; its other routes have a word for their key.
        if key == "$connect" or path or (key == "$default" and _is_http(resource, resources)):
            yield f"authorizationType: anyone may call {key}; ask for JWT, AWS_IAM or CUSTOM"

    yield from each_resource(of_type(resources, _ROUTE, _API_V2), check)


def _connects_unasked(route: Resource, resources: Sequence[Resource]) -> bool:
    """Whether a route is the first of a WebSocket API's in this stack, and none of them is asked as a caller connects."""
    if not _is_of_websocket(route, resources):
        return False
    routes = [other for other in of_type(resources, _ROUTE) if share(route, other, "apiId")]
    if any(other["routeKey"].equals("$connect") for other in routes):
        return False
    return next(other for other in routes if _is_of_websocket(other, resources)) is route


def _is_of_websocket(route: Resource, resources: Sequence[Resource]) -> bool:
    key = route["routeKey"].text()
    return " " not in key and key != "$connect" and not (key == "$default" and not _is_websocket(route, resources))


def _is_websocket(route: Resource, resources: Sequence[Resource]) -> bool:
    """Whether a route belongs to a WebSocket API of this stack."""
    apis = [api for api in of_type(resources, _API_V2) if refers(route, "apiId", api, "id")]
    return any(api["protocolType"].equals("WEBSOCKET") for api in apis)


def _is_http(route: Resource, resources: Sequence[Resource]) -> bool:
    """Whether a route belongs to an HTTP API of this stack."""
    apis = [api for api in of_type(resources, _API_V2) if refers(route, "apiId", api, "id")]
    return any(api["protocolType"].equals("HTTP") for api in apis)


_PUBLIC: Final = Setting(
    ["health", "openapi.json"],
    STRINGS,
    "The last path parts that anyone may GET; / for the root.",
)

RULES: Final = (
    Rule(
        name="apigateway-waf",
        title="A REST stage that the internet reaches has a web ACL.",
        severity="medium",
        why=(
            "A stage's throttle is shared by all: one address that floods it with refused keys takes the turns of those who "
            "pay. Only a web ACL tells addresses apart."
        ),
        fix="A `wafv2.WebAclAssociation` of the stage's ARN with a web ACL of the scope REGIONAL that limits the rate.",
        check_stack=_stage_has_acl,
        types=(STAGE, _REST_API, _ASSOCIATION),
        frameworks=("AWS FSBP APIGateway.4",),
        url="https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-control-access-aws-waf.html",
    ),
    Rule(
        name="apigateway-usage-plan-limited",
        title="A usage plan has a throttle and a quota.",
        severity="high",
        why=(
            "A key that leaks is used by strangers until someone notices: without a quota, one request a second over a weekend"
            " is 170,000 model calls, $1,700 at a cent each."
        ),
        fix='throttle_settings={"rate_limit": …, "burst_limit": …}, quota_settings={"limit": …, "period": "DAY"}',
        check=_plan_limited,
        types=(_PLAN,),
        settings={
            **RATE,
            "requests_per_day": Setting(
                100_000,
                {"type": "integer", "minimum": 1},
                "The most requests a day of one key that are a limit: at a cent an answer they are $1,000.",
            ),
        },
        url="https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-api-usage-plans.html",
    ),
    Rule(
        name="apigateway-keys-in-plan",
        title="Every API key is in a usage plan.",
        severity="medium",
        why=(
            "A plan's throttle and quota hold for its keys only: a key in none is either refused everywhere or, as soon as"
            " someone adds it to a plan by hand, paid for without anybody having set its limits."
        ),
        fix="UsagePlanKey(key_id=key.id, key_type='API_KEY', usage_plan_id=plan.id), or enabled=False for a key in reserve.",
        check_stack=_keys_in_plan,
        types=(_API_KEY, _PLAN_KEY),
        url="https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-api-usage-plans.html",
    ),
    Rule(
        name="apigateway-method-authorized",
        title="A REST method asks for authorization or an API key.",
        severity="critical",
        why=(
            "A method without either is open to the internet: whoever finds the address has a language model at the owner's "
            "expense, $36 an hour for every call a second at a cent an answer."
        ),
        fix="authorization='CUSTOM' with an authorizer_id, 'AWS_IAM' or 'COGNITO_USER_POOLS', or api_key_required=True.",
        check_stack=_method_authorized,
        types=(_METHOD, _RESOURCE, _REST_API, _REST_API_PUT),
        settings={"public_paths": _PUBLIC},
        url="https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-control-access-to-api.html",
    ),
    Rule(
        name="apigatewayv2-route-authorized",
        title="A route of an HTTP API, and the $connect of a WebSocket API, ask for authorization.",
        severity="critical",
        why=(
            "An open route is a language model for anyone at the owner's expense, $36 an hour for every call a second at a cent"
            " an answer; a WebSocket is authorized as it connects, or never."
        ),
        fix="authorization_type='JWT', 'AWS_IAM' or 'CUSTOM', the first and last with an authorizer_id.",
        check_stack=_route_authorized,
        types=(_ROUTE, _API_V2),
        settings={"public_paths": _PUBLIC},
        frameworks=("AWS FSBP APIGateway.8",),
        url="https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-access-control.html",
    ),
    Rule(
        name="apigatewayv2-stage-throttled",
        title="A stage of an HTTP or WebSocket API limits the rate of requests.",
        severity="high",
        why=(
            "Without limits of its own a stage takes the account's 10,000 requests a second: at a cent an answer that is $100 "
            "a second of model calls. A web ACL can't stand before these APIs."
        ),
        fix='default_route_settings={"throttling_rate_limit": …, "throttling_burst_limit": …}',
        check_stack=_stage_v2_throttled,
        types=(_STAGE_V2, _ROUTE, _API_V2),
        settings=RATE,
        url="https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-throttling.html",
    ),
)
