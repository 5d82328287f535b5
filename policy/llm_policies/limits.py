"""Rules on limits: how much a caller, a queue or a leaked key can make a service do, and what that can cost."""

from collections.abc import Iterator, Sequence
from typing import Final

from llm_policies import bedrock, gateways, timeouts
from llm_policies.rule import Resource, Rule, Setting, Settings
from llm_policies.stacks import Found, came_from, each_resource, of_type, refers, same
from llm_policies.values import NotVerified, State, Value, each, some
from llm_policies.web_acls import LIMIT, WEB_ACL, WEB_ACLS, limits_rate

_FUNCTION: Final = "aws:lambda/function:Function"
_ROLE: Final = "aws:iam/role:Role"
_POLICY: Final = "aws:iam/policy:Policy"
_ROLE_POLICY: Final = "aws:iam/rolePolicy:RolePolicy"
_POLICY_ATTACHMENT: Final = "aws:iam/policyAttachment:PolicyAttachment"
_ROLE_ATTACHMENT: Final = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"


# Lambda


def _function_url(resource: Resource, _: Settings) -> Iterator[str]:
    if resource["authorizationType"].equals("NONE"):
        yield "authorizationType: NONE lets anyone on the internet call the function; AWS_IAM asks for a signature"


def _reserved_concurrency(resources: Sequence[Resource], settings: Settings) -> Found:
    most: float = settings["executions"]

    def check(function: Resource) -> Iterator[str]:
        reserved = function["reservedConcurrentExecutions"]
        # Zero is a limit too: the function is switched off. The default, -1, is none.
        if reserved.state is State.KNOWN and 0 <= reserved.number(-1) <= most:
            return
        if not _may_call_models(function, resources):
            return
        if reserved.number(-1) < 0:
            yield "reservedConcurrentExecutions: the function may call models, as often at once as the account allows"
        elif reserved.number() > most:
            yield f"reservedConcurrentExecutions: {reserved.number():,.0f} calls of models at once are no limit; {most:,} are"

    yield from each_resource(of_type(resources, _FUNCTION), check)


def _may_call_models(function: Resource, resources: Sequence[Resource]) -> bool:
    """Whether a function's role allows calls of models: in its own, an inline or an attached policy."""
    roles = came_from(function, "role", _ROLE)
    if roles:
        names = {str(role[key].data) for role in roles for key in ("name", "id") if role[key].state is State.KNOWN}
    else:
        arn = function["role"].text()
        roles = [role for role in of_type(resources, _ROLE) if role["arn"].data == arn]
        names = {arn.rpartition("/")[2]}

    def belongs(policy: Resource) -> bool:
        if policy.type == _ROLE:
            return any(same(policy, role) for role in roles) or policy["name"].known_text in names
        key = "roles" if policy.type == _POLICY_ATTACHMENT else "role"
        sources = came_from(policy, key, _ROLE)
        if sources and roles:
            return any(same(source, role) for source in sources for role in roles)
        return any(item.text() in names for item in policy[key].items())

    def allows(policy: Resource) -> bool:
        return bedrock.calls_models(policy) or any(bedrock.calls_models(other) for other in _attached(policy, resources))

    def gives(policy: Resource) -> bool:
        try:
            return belongs(policy) and allows(policy)
        except NotVerified:
            if not allows(policy):  # whosever it is
                return False
            raise

    return some(of_type(resources, _ROLE, _ROLE_POLICY, _ROLE_ATTACHMENT, _POLICY_ATTACHMENT), gives)


def _attached(attachment: Resource, resources: Sequence[Resource]) -> list[Resource]:
    """The customer's policy of an attachment, if it is in the same stack."""
    policies = of_type(resources, _POLICY)
    return [policy for policy in policies if refers(attachment, "policyArn", policy, "arn", "id")]


def _event_source(resource: Resource, settings: Settings) -> Iterator[str]:
    most: float = settings["concurrency"]
    for path, number in (
        ("scalingConfig.maximumConcurrency", most),
        ("provisionedPollerConfig.maximumPollers", most / _CONCURRENCY_OF_A_POLLER),
    ):
        if not (bound := resource.at(path)).missing:
            if bound.number() > number:
                yield f"{path}: {bound.number():,.0f} are no limit, but what the account allows; {number:,.0f} are"
            return
    # Streams, Kafka and message brokers are bounded by their shards, partitions and connections.
    if ":sqs:" in resource["eventSourceArn"].text():
        yield "scalingConfig.maximumConcurrency: a full queue starts as many functions at once as the account allows"


def _loops_stopped(resource: Resource, _: Settings) -> Iterator[str]:
    if resource["recursiveLoop"].equals("Allow"):
        yield "recursiveLoop: Allow lets a function that calls itself by a queue or topic go on without end; write Terminate"


# https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html: 10 concurrent invokes of each event poller
_CONCURRENCY_OF_A_POLLER: Final = 10


# DynamoDB


def _billing(resource: Resource, settings: Settings) -> Iterator[str]:
    def bounded(place: Value) -> bool:
        return 1 <= place.number(-1) <= settings["units"]

    def index(place: Value) -> Iterator[str]:
        # What is written to an index is bounded by what is written to its table; what is read of it, is not.
        if not bounded(place.at("onDemandThroughput.maxReadRequestUnits")):
            yield f"{place.path}.onDemandThroughput.maxReadRequestUnits: reads of the index have no limit"

    if not resource["billingMode"].equals("PAY_PER_REQUEST"):  # the default, PROVISIONED, is bounded by its capacity
        return
    names = ("maxReadRequestUnits", "maxWriteRequestUnits")
    missing = [name for name in names if not bounded(resource.at(f"onDemandThroughput.{name}"))]
    if missing:
        yield f"onDemandThroughput: {' and '.join(missing)} missing or no limit: the table is billed for all that is asked"
    yield from each(resource["globalSecondaryIndexes"].items(), index)


# WAF and CloudFront


def _waf_rate(resources: Sequence[Resource], settings: Settings) -> Found:
    def check(acl: Resource) -> Iterator[str]:
        if not limits_rate(acl, resources, settings):
            yield (
                f"rules: none blocks what an address asks above {settings['acl_requests']:,} in five minutes (rateBased"
                "Statement with the action block, captcha or challenge)"
            )

    yield from each_resource(of_type(resources, WEB_ACL), check)


def _cloudfront_waf(resource: Resource, _: Settings) -> Iterator[str]:
    if not resource["webAclId"].text():
        yield "webAclId: the distribution has no web ACL, so that nothing limits what an address may ask of it"


RULES: Final = (
    Rule(
        name="apigateway-stage-throttled",
        title="A REST stage limits the rate of requests.",
        severity="high",
        why=(
            "Without limits of its own a stage takes the account's 10,000 requests a second: at a cent an answer that is $100 "
            "a second of model calls, and no other API of the account gets through."
        ),
        fix=(
            "A MethodSettings of the stage with methodPath */*, throttlingRateLimit and throttlingBurstLimit; or a usage plan "
            "with throttleSettings; or a web ACL with a rate-based rule."
        ),
        check_stack=gateways.stage_throttled,
        types=(*gateways.STAGE_LIMITS, *WEB_ACLS),
        settings={**gateways.RATE, **LIMIT},
        url="https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-request-throttling.html",
    ),
    *gateways.RULES,
    Rule(
        name="function-url-authorized",
        title="A function's URL asks for authorization.",
        severity="critical",
        why=(
            "A URL of type NONE is found by scanners: each call of it costs the function's time and, at a cent an answer, "
            "$36 an hour for every call a second. No usage plan, key or web ACL stands before it."
        ),
        fix='authorization_type="AWS_IAM"; behind CloudFront an origin access control signs the requests.',
        check=_function_url,
        types=("aws:lambda/functionUrl:FunctionUrl",),
        url="https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html",
    ),
    Rule(
        name="lambda-reserved-concurrency",
        title="A function that may call models has a reserved concurrency.",
        severity="medium",
        why=(
            "Nothing else bounds how many model calls run at once: the account's 1,000 functions, each with an answer of a cent"
            " every 10 seconds, spend $3,600 an hour, and leave no other function of the account a place to run."
        ),
        fix="reserved_concurrent_executions: the most answers at once that may be paid for (0 switches the function off).",
        check_stack=_reserved_concurrency,
        types=(_FUNCTION, *bedrock.POLICIES),
        settings={
            "executions": Setting(
                500,
                {"type": "integer", "minimum": 0},
                "The most executions at once of one function: half of what an account has, 1,000, so that others run, too.",
            )
        },
        url="https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html",
    ),
    Rule(
        name="event-source-bounded",
        title="A queue that starts functions has a maximum concurrency.",
        severity="medium",
        why=(
            "Lambda starts more functions for as long as a queue is full, up to the account's limit: a loop that fills it, or"
            " a message that always fails, is paid for 1,000 times at once, model calls included."
        ),
        fix='scaling_config={"maximum_concurrency": 2 to 1000}',
        check=_event_source,
        types=("aws:lambda/eventSourceMapping:EventSourceMapping",),
        settings={
            "concurrency": Setting(
                500,
                {"type": "integer", "minimum": 2},
                "The most functions at once that a queue may start: AWS takes 1,000, which is all that an account has.",
            )
        },
        url="https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html",
    ),
    Rule(
        name="lambda-loops-stopped",
        title="Lambda's guard against endless loops is on.",
        severity="medium",
        why="A function that writes to the queue that starts it is stopped after 16 rounds; without the guard it runs, and "
        "calls models, until someone notices.",
        fix="Leave out the FunctionRecursionConfig, or give it recursive_loop='Terminate'.",
        check=_loops_stopped,
        types=("aws:lambda/functionRecursionConfig:FunctionRecursionConfig",),
        url="https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html",
    ),
    *timeouts.RULES,
    Rule(
        name="dynamodb-billing-guard",
        title="A table that is billed by request has a maximum of requests.",
        severity="low",
        why=(
            "An on-demand table takes up to 40,000 reads and 40,000 writes a second: a loop that writes at that rate costs"
            " about $90 an hour, and more for each index."
        ),
        fix='on_demand_throughput={"max_read_request_units": …, "max_write_request_units": …}, for each index the reads too.',
        check=_billing,
        types=("aws:dynamodb/table:Table",),
        settings={
            "units": Setting(
                10_000,
                {"type": "integer", "minimum": 1},
                "The most request units a second that are a limit: a table has 40,000 by itself, $90 an hour of writes.",
            )
        },
        url="https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/on-demand-capacity-mode-max-throughput.html",
    ),
    Rule(
        name="waf-rate-limited",
        title="A web ACL limits the rate of requests.",
        severity="medium",
        why=(
            "Managed rules stop known attacks, not the one client that asks politely and without end: at a cent an answer, "
            "100 requests a second are $3,600 an hour."
        ),
        fix="A rule with rate_based_statement (limit, evaluation_window_sec, aggregate_key_type) and the action block.",
        check_stack=_waf_rate,
        types=WEB_ACLS,
        settings=LIMIT,
        url="https://docs.aws.amazon.com/waf/latest/developerguide/waf-rule-statement-type-rate-based.html",
    ),
    Rule(
        name="cloudfront-waf",
        title="A distribution has a web ACL.",
        severity="medium",
        why=(
            "A distribution answers the whole internet and passes on what it has not cached: without a web ACL a flood reaches "
            "the origin, where each request is paid for again, as function time and model calls."
        ),
        fix="web_acl_id: the ARN of a WebAcl with the scope CLOUDFRONT, made in us-east-1.",
        check=_cloudfront_waf,
        types=(
            "aws:cloudfront/distribution:Distribution",
            "aws:cloudfront/multitenantDistribution:MultitenantDistribution",
        ),
        frameworks=("AWS FSBP CloudFront.6",),
        url="https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/distribution-web-awswaf.html",
    ),
)
