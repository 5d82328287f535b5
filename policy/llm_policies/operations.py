"""Rules on operations: logs and their content, protection of stored data, backups, tags, runtimes, images."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, cast

from llm_policies.rule import AWS_DOCS, BOOLEAN, STRINGS, Resource, Rule, Setting, Settings
from llm_policies.runtimes import DEPRECATED
from llm_policies.stacks import Found, each_resource, given, of_type
from llm_policies.taggable import TAGGABLE
from llm_policies.values import NotVerified, State, Value, each

_DAYS: Final = {"type": "integer", "minimum": 1, "maximum": 3653}

# What CloudWatch Logs takes; it has no other number of days.
_RETENTIONS: Final = (
    *(1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827),
    *(2192, 2557, 2922, 3288, 3653),
)


def _log_retention(group: Resource, settings: Settings) -> Iterator[str]:
    if group["logGroupClass"].equals("DELIVERY"):
        return  # its retention is AWS's to say
    days = group["retentionInDays"].number()
    if days <= 0:
        yield "retentionInDays is missing or 0: the log is kept forever; write how many days"
    elif days < settings["minimum_days"]:
        yield f"retentionInDays is {days:g}: keep logs for at least {settings['minimum_days']} days"
    elif days > settings["maximum_days"]:
        yield f"retentionInDays is {days:g}: keep logs for at most {settings['maximum_days']} days"


def _mend_retention(group: Resource, settings: Settings) -> dict[str, Any] | None:
    if not any(_log_retention(group, settings)):
        return None
    minimum, maximum = int(settings["minimum_days"]), int(settings["maximum_days"])
    days = int(group["retentionInDays"].number()) or int(settings["default_days"])
    wanted = min(max(days, minimum), maximum)
    allowed = [days for days in _RETENTIONS if minimum <= days <= maximum]
    if not allowed:
        return None
    nearest = next((days for days in allowed if days >= wanted), allowed[-1])
    return {"retentionInDays": nearest}


_FUNCTIONS: Final = ("aws:lambda/function:Function",)
_GROUPS: Final = ("aws:cloudwatch/logGroup:LogGroup",)


def _lambda_log_group(resources: Sequence[Resource], _: Settings) -> Found:
    groups = of_type(resources, *_GROUPS)
    loggers = {f"/aws/lambda/{group['name'].plain[12:]}" for group in groups if _is_lambda_name(group["name"])}

    def function(resource: Resource) -> Iterator[str]:
        name, group = resource["name"], given(resource, "loggingConfig")["logGroup"]
        # Once made, a function without a group of its own says the name that Lambda chose for it.
        if group.state is State.UNKNOWN or group.text() not in {"", f"/aws/lambda/{name.data}"}:
            return
        if any(origin.urn == resource.urn for group in groups for origin in group.dependencies.get("name", ())):
            return
        if name.state is State.UNKNOWN and any(group["name"].state is State.UNKNOWN for group in groups):
            raise NotVerified(f"{resource.name}.name")
        if name.state is State.UNKNOWN or f"/aws/lambda/{name.plain}" not in loggers:
            yield "Lambda makes its log group by itself, kept forever: give loggingConfig.logGroup, a LogGroup of the program's"

    yield from each_resource(of_type(resources, *_FUNCTIONS), function)


def _is_lambda_name(name: Value) -> bool:
    return name.state is State.KNOWN and str(name.plain).startswith("/aws/lambda/")


def _access_logs(stage: Resource, _: Settings) -> Iterator[str]:
    if stage["accessLogSettings"].missing:
        yield "accessLogSettings is missing: nothing tells afterwards which key asked for what, and when; name a log group"


def _bodies_not_logged(resource: Resource, _: Settings) -> Iterator[str]:
    def traced(settings: Value) -> Iterator[str]:
        if settings["dataTraceEnabled"].flag():
            yield f"{settings.path}.dataTraceEnabled is true: whole requests and answers are written to the log; switch it off"

    if resource.type == "aws:apigateway/methodSettings:MethodSettings":
        yield from traced(resource["settings"])
    else:
        yield from each((resource["defaultRouteSettings"], resource["routeSettings"]), lambda part: each(part.items(), traced))


def _prompts_not_logged(resource: Resource, settings: Settings) -> Iterator[str]:
    if not settings["allowed"] and resource.at("loggingConfig.textDataDeliveryEnabled").flag(default=True):
        yield (
            "loggingConfig.textDataDeliveryEnabled is not false: every prompt and answer of the Region is kept, masked or not; "
            "write false, or allow it by the setting"
        )


def _control_plane_logs(cluster: Resource, settings: Settings) -> Iterator[str]:
    enabled = cluster["enabledClusterLogTypes"].items()
    unknown = next((item for item in enabled if item.state is State.UNKNOWN), None)
    given_types = {item.text() for item in enabled if item.state is State.KNOWN}
    if lacking := [kind for kind in settings["types"] if kind not in given_types]:
        if unknown is not None:
            raise NotVerified(unknown.path)  # it may be what is lacking
        yield f"enabledClusterLogTypes lacks {', '.join(lacking)}: nothing tells afterwards who did what in the cluster"


_MACHINE: Final = "aws:sfn/stateMachine:StateMachine"


def _state_machine_logs(machine: Resource, settings: Settings) -> Iterator[str]:
    logging = machine["loggingConfiguration"]
    if logging["level"].text("OFF") == "OFF":
        yield "loggingConfiguration.level is missing or OFF: nothing tells afterwards what ran, and why it failed"
    elif logging["includeExecutionData"].flag() and not settings["execution_data"]:
        yield "loggingConfiguration.includeExecutionData is true: prompts and answers are written to the log; leave it out"


# The property that protects each type, and the value that it must have; a property that is left out protects nothing.
_PROTECTED: Final = {
    "aws:dynamodb/table:Table": "deletionProtectionEnabled",
    "aws:lb/loadBalancer:LoadBalancer": "enableDeletionProtection",
    "aws:alb/loadBalancer:LoadBalancer": "enableDeletionProtection",
    "aws:eks/cluster:Cluster": "deletionProtection",
    "aws:rds/instance:Instance": "deletionProtection",
    "aws:rds/cluster:Cluster": "deletionProtection",
    "aws:docdb/cluster:Cluster": "deletionProtection",
    "aws:cognito/userPool:UserPool": "deletionProtection",
}
_FORCED: Final = {
    "aws:s3/bucket:Bucket": "forceDestroy",
    "aws:s3/bucketV2:BucketV2": "forceDestroy",
    "aws:s3/vectorsVectorBucket:VectorsVectorBucket": "forceDestroy",
    "aws:ecr/repository:Repository": "forceDelete",
}
# Set beside the protection: what is deleted on purpose can still be brought back.
_FINAL: Final = {
    "aws:rds/instance:Instance": "skipFinalSnapshot",
    "aws:rds/cluster:Cluster": "skipFinalSnapshot",
    "aws:docdb/cluster:Cluster": "skipFinalSnapshot",
    "aws:neptune/cluster:Cluster": "skipFinalSnapshot",
    "aws:redshift/cluster:Cluster": "skipFinalSnapshot",
}
_RECOVERED: Final = ("aws:secretsmanager/secret:Secret",)


def _deletion_protection(resource: Resource, _: Settings) -> Iterator[str]:
    if resource.type == "aws:dynamodb/table:Table" and resource.at("ttl.enabled").flag():
        return  # its items are there for a while only
    if name := _FORCED.get(resource.type, ""):
        if resource[name].flag():
            yield f"{name} is true: a mistaken destroy takes all that is stored with it; leave it out"
    elif resource.type in _RECOVERED:
        if not resource["recoveryWindowInDays"].missing and resource["recoveryWindowInDays"].number(30) < _SHORTEST:
            yield "recoveryWindowInDays is 0: a secret that is deleted by mistake is gone at once; leave it out"
        return
    elif (name := _PROTECTED.get(resource.type, "")) and not resource[name].equals(True, "true", "ACTIVE"):
        right = "ACTIVE" if resource.type.startswith("aws:cognito/") else "true"
        yield f"{name} is not {right}: a mistaken destroy takes it away, with what it holds"
    is_copy = bool(resource["replicateSourceDb"].data)  # what it copies keeps its own
    if (name := _FINAL.get(resource.type, "")) and resource[name].flag() and not is_copy:
        yield f"{name} is true: nothing is left of it once it is deleted; leave it out and name a finalSnapshotIdentifier"


_SHORTEST: Final = 7  # days: what Secrets Manager takes, besides 0


def _dynamodb_backups(table: Resource, _: Settings) -> Iterator[str]:
    if table.at("ttl.enabled").flag():
        return  # its items are there for a while only; a backup would keep them longer
    if not table.at("pointInTimeRecovery.enabled").flag():
        yield "pointInTimeRecovery.enabled is not true: nothing brings back what a bug deletes"
    yield from each(table["replicas"].items(), _replica_backups)


def _replica_backups(replica: Value) -> Iterator[str]:
    if not replica["pointInTimeRecovery"].flag():
        yield f"{replica.path}.pointInTimeRecovery is not true: a replica has backups of its own, or none"


# S3's costs are told apart by the tags of buckets; an object's own tags are billed, and there may be no more than ten.
_OBJECTS: Final = frozenset(
    {"aws:s3/bucketObject:BucketObject", "aws:s3/bucketObjectv2:BucketObjectv2", "aws:s3/objectCopy:ObjectCopy"}
)


def _required_tags(resource: Resource, settings: Settings) -> Iterator[str]:
    if missing := _missing_tags(resource, settings):
        yield f"tags lacks {', '.join(missing)}: nobody can tell whose it is, and what it costs whom"


def _missing_tags(resource: Resource, settings: Settings) -> list[str]:
    """The required tags that a resource lacks. An empty one is no tag.

    The AWS provider, when it checks a resource, joins its own default tags with the resource's in `tagsAll`: a policy sees them
    there. It is unknown as soon as any tag is, so it is read only where `tags` does not say all.
    """
    given_by_provider = _default_tags(resource)
    wanted = [name for name in settings["tags"] if name not in settings["default_tags"] and not given_by_provider.get(name)]
    tags = resource["tags"]
    if tags.state is not State.UNKNOWN:
        wanted = [name for name in wanted if tags[name].state is State.MISSING or tags[name].data == ""]
    if not wanted:
        return []
    joined = resource["tagsAll"].entries()
    if not joined:
        _ = tags.plain  # an unknown map may hold them
    return [name for name in wanted if name not in joined or joined[name].data == ""]


def _default_tags(resource: Resource) -> Mapping[str, Any]:
    """The `defaultTags` of a resource's provider, which come as JSON text; what is not known of them counts as none."""
    defaults = resource.provider["defaultTags"].data
    if isinstance(defaults, str):
        try:
            defaults = json.loads(defaults)
        except ValueError:
            return {}
    tags = Value(defaults)["tags"].data
    return cast("Mapping[str, Any]", tags) if isinstance(tags, Mapping) else {}


def _mend_tags(resource: Resource, settings: Settings) -> dict[str, Any] | None:
    values: dict[str, str] = settings["values"]
    added = {name: values[name] for name in _missing_tags(resource, settings) if name in values}
    if not added:
        return None
    # What the provider's check has joined already must not contradict the tags.
    return {"tags": added, "tagsAll": added} if resource["tagsAll"].entries() else {"tags": added}


def _runtime_supported(function: Resource, _: Settings) -> Iterator[str]:
    runtime = function["runtime"].text()
    if date := DEPRECATED.get(runtime):
        yield f"runtime is {runtime}, which Lambda deprecated on {date}: it gets no security patches; use a newer one"


def _images(repository: Resource, settings: Settings) -> Iterator[str]:
    if not repository["imageTagMutability"].text("MUTABLE").startswith("IMMUTABLE"):
        yield "imageTagMutability is not IMMUTABLE: another image can be pushed under a tag that is already deployed"
    if settings["scan"] and not repository.at("imageScanningConfiguration.scanOnPush").flag():
        yield "imageScanningConfiguration.scanOnPush is not true: known holes in an image go unseen"


RULES: Final[tuple[Rule, ...]] = (
    Rule(
        name="log-retention",
        title="Every log group says for how long it keeps what it has.",
        severity="medium",
        why="A log without retention is kept, and paid for, forever, with whatever personal data it quotes.",
        fix="`retention_in_days`, within the bounds of the settings.",
        check=_log_retention,
        mend=_mend_retention,
        types=_GROUPS,
        settings={
            "minimum_days": Setting(1, _DAYS, "The shortest time that logs must be kept."),
            "maximum_days": Setting(3653, _DAYS, "The longest time that logs may be kept."),
            "default_days": Setting(30, _DAYS, "What remediation gives a log group that says nothing."),
        },
        url=f"{AWS_DOCS}/AmazonCloudWatch/latest/logs/Working-with-log-groups-and-streams.html",
    ),
    Rule(
        name="lambda-log-group-declared",
        title="A function writes to a log group of the program's.",
        severity="medium",
        why="The group that Lambda makes by itself never expires, has no tags and outlives the stack.",
        fix="A `LogGroup`, and `logging_config={'log_format': 'JSON', 'log_group': group.name}`.",
        check_stack=_lambda_log_group,
        types=(*_FUNCTIONS, *_GROUPS),
        url=f"{AWS_DOCS}/lambda/latest/dg/monitoring-cloudwatchlogs-loggroups.html",
    ),
    Rule(
        name="apigateway-access-logs",
        title="An API's stage logs who called it.",
        severity="medium",
        why="Without access logs a leaked key's use, and its cost, cannot be told from a tenant's own.",
        fix="`access_log_settings` with a log group's ARN and a format that holds no bodies.",
        check=_access_logs,
        types=("aws:apigateway/stage:Stage", "aws:apigatewayv2/stage:Stage"),
        frameworks=("AWS FSBP APIGateway.9",),
        url=f"{AWS_DOCS}/apigateway/latest/developerguide/set-up-logging.html",
    ),
    Rule(
        name="apigateway-bodies-not-logged",
        title="An API's logs hold no prompts and no answers.",
        severity="high",
        why="Data tracing writes whole bodies, and the headers with their keys, to a log that many may read.",
        fix="`data_trace_enabled=False`; `logging_level` may stay.",
        check=_bodies_not_logged,
        types=("aws:apigateway/methodSettings:MethodSettings", "aws:apigatewayv2/stage:Stage"),
        url=f"{AWS_DOCS}/apigateway/latest/developerguide/set-up-logging.html",
    ),
    Rule(
        name="bedrock-prompts-not-logged",
        title="Bedrock's invocation logs hold no prompts, unless it is allowed.",
        severity="medium",
        why="The logging is of the whole Region: it keeps every application's prompts and answers, personal data among them.",
        fix="`text_data_delivery_enabled=False`, or allow it and see to who reads the log and how long it is kept.",
        check=_prompts_not_logged,
        types=("aws:bedrockmodel/invocationLoggingConfiguration:InvocationLoggingConfiguration",),
        settings={"allowed": Setting(False, BOOLEAN, "Whether the text of prompts and answers may be logged.")},
        url=f"{AWS_DOCS}/bedrock/latest/userguide/model-invocation-logging.html",
    ),
    Rule(
        name="eks-control-plane-logs",
        title="A cluster's control plane logs who did what.",
        severity="medium",
        why="Without the audit log a stolen token's use, such as a miner on the GPU nodes, leaves no trace.",
        fix="`enabled_cluster_log_types=['api', 'audit', 'authenticator']`.",
        check=_control_plane_logs,
        types=("aws:eks/cluster:Cluster",),
        settings={"types": Setting(["api", "audit", "authenticator"], STRINGS, "The logs that a cluster must send.")},
        frameworks=("AWS FSBP EKS.8",),
        url=f"{AWS_DOCS}/eks/latest/userguide/control-plane-logs.html",
    ),
    Rule(
        name="state-machine-logs",
        title="A state machine logs what ran, without what it ran with.",
        severity="medium",
        why="Without logs an express workflow leaves no trace; with execution data the log holds prompts, answers and keys.",
        fix="`logging_configuration={'level': 'ERROR', 'include_execution_data': False, 'log_destination': …}`.",
        check=_state_machine_logs,
        types=(_MACHINE,),
        settings={"execution_data": Setting(False, BOOLEAN, "Whether inputs and outputs may be logged.")},
        frameworks=("AWS FSBP StepFunctions.1",),
        url=f"{AWS_DOCS}/step-functions/latest/dg/cw-logs.html",
    ),
    Rule(
        name="deletion-protection",
        title="What holds data or serves users cannot be deleted by mistake.",
        severity="high",
        why="One mistaken destroy, or a rename that replaces, takes tables, buckets, users and clusters with all they hold.",
        fix="Each type's deletion protection on, and no `force_destroy`, where it is production; a table whose items expire by "
        "`ttl` needs none.",
        check=_deletion_protection,
        types=(*_PROTECTED, *_FORCED, *(kind for kind in _FINAL if kind not in _PROTECTED), *_RECOVERED),
        frameworks=("AWS FSBP DynamoDB.6", "AWS FSBP ELB.6", "AWS FSBP RDS.7", "AWS FSBP RDS.8"),
        url=f"{AWS_DOCS}/amazondynamodb/latest/developerguide/WorkingWithTables.Basics.html",
    ),
    Rule(
        name="dynamodb-backups",
        title="Tables can be brought back to any moment of the last weeks.",
        severity="medium",
        why="Keys, conversations and quotas live in tables; a bug that deletes them is otherwise final.",
        fix="`point_in_time_recovery={'enabled': True}`; a table whose items expire by `ttl` needs none.",
        check=_dynamodb_backups,
        types=("aws:dynamodb/table:Table",),
        frameworks=("AWS FSBP DynamoDB.2",),
        url=f"{AWS_DOCS}/amazondynamodb/latest/developerguide/Point-in-time-recovery.html",
    ),
    Rule(
        name="required-tags",
        title="Every resource that takes tags has those that are required.",
        severity="low",
        why="Costs of models and GPUs are told apart, and owners found, by tags alone.",
        fix="`tags` on the resource, or the provider's `default_tags`, which the rule sees too.",
        check=_required_tags,
        mend=_mend_tags,
        once=True,
        types=tuple(sorted(TAGGABLE - _OBJECTS)),
        settings={
            "tags": Setting(["Project", "Environment"], STRINGS, "The tags that every resource must have."),
            "default_tags": Setting(
                [],
                STRINGS,
                "Tags taken as given, where the provider's defaults are not in the properties (tagsAll) to be seen.",
            ),
            "values": Setting(
                {},
                {"type": "object", "additionalProperties": {"type": "string"}},
                "What remediation writes into a required tag that is missing.",
            ),
        },
        url=f"{AWS_DOCS}/whitepapers/latest/tagging-best-practices/tagging-best-practices.html",
    ),
    Rule(
        name="lambda-runtime-supported",
        title="Functions run on a runtime that Lambda still patches.",
        severity="medium",
        why="A deprecated runtime gets no security patches, and soon its functions can be neither made nor updated.",
        fix="A runtime with years left, such as `python3.13`.",
        check=_runtime_supported,
        types=_FUNCTIONS,
        frameworks=("AWS FSBP Lambda.2",),
        url=f"{AWS_DOCS}/lambda/latest/dg/lambda-runtimes.html",
    ),
    Rule(
        name="ecr-images-fixed",
        title="An image's tag is never moved, and images are scanned.",
        severity="medium",
        why="A model server pulls its image by tag: a tag that can be overwritten puts other code beside the weights.",
        fix="`image_tag_mutability='IMMUTABLE'` and `image_scanning_configuration={'scan_on_push': True}`.",
        check=_images,
        types=("aws:ecr/repository:Repository",),
        settings={"scan": Setting(True, BOOLEAN, "Whether repositories scan by themselves; false where the registry does.")},
        frameworks=("AWS FSBP ECR.1", "AWS FSBP ECR.2"),
        url=f"{AWS_DOCS}/AmazonECR/latest/userguide/image-tag-mutability.html",
    ),
)
