"""The workers of jobs: the way of an event from the table to the worker, who may do what on it, and what is refused."""

import json
from fnmatch import fnmatchcase
from typing import Any

import jsonschema_rs
import msgspec
import pulumi
import pytest
from pulumi_aws import sns

import pulumi_llm
from contract.test_components import ARGUMENTS
from llm_gateway.aws.dynamodb import Item
from llm_gateway.batches import batch
from llm_gateway.identity.caller import Caller
from llm_gateway.jobs.job import STATUSES, Status, item_of, new_job
from llm_gateway.tables import JOBS_KEPT_DAYS
from pulumi_llm_local.services.event_pattern import EventPattern
from pulumi_llm_local.services.input_template import InputTemplate, value_at
from pulumi_llm_local.services.step_functions.definition import parse
from support import programs
from support.programs import MODELS, ROOT, Recording

ACCOUNT = "123456789012"
KEY = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/1234abcd-12ab-34cd-56ef-1234567890ab"
TABLE = f"arn:aws:dynamodb:us-east-1:{ACCOUNT}:table/chat-jobs"
JOBS: dict[str, Any] = {
    "table_name": "chat-jobs",
    "table_arn": TABLE,
    "stream_arn": f"{TABLE}/stream/2026-01-01T00:00:00.000",
    "bucket_name": "chat-jobs-bucket",
}


def made(**settings: Any) -> Recording:
    args: Any = {"models": MODELS, "jobs": JOBS, **settings}
    return programs.run(lambda: pulumi_llm.AsyncInference("jobs", args))


def statements(recording: Recording, name: str, key: str = "policy") -> dict[str, Any]:
    return {each["Sid"]: each for each in json.loads(recording.inputs(name)[key])["Statement"]}


def arn(recording: Recording, name: str) -> str:
    return recording.named(name).state["arn"]


def record(name: str, before: str | None, after: str | None, event: str = "") -> dict[str, Any]:
    """A record of the stream, as DynamoDB has it."""
    images: dict[str, Any] = {}
    if before is not None:
        images["OldImage"] = {"job": {"S": "job_1"}, "status": {"S": before}}
    if after is not None:
        images["NewImage"] = {"job": {"S": "job_1"}, "status": {"S": after}, "event": {"S": event}}
    return {"eventName": name, "eventSource": "aws:dynamodb", "dynamodb": images}


def passes(pattern: Any, value: Any) -> bool:
    """Whether a value fits a pattern of EventBridge's: lists of values that are possible, and objects of patterns."""
    if isinstance(pattern, list):
        return value in pattern
    return isinstance(value, dict) and all(name in value and passes(each, value[name]) for name, each in pattern.items())


@pytest.mark.parametrize(
    ("changes", "is_event"),
    [
        (("INSERT", None, "queued", "job.accepted"), True),
        (("MODIFY", "succeeded", "queued", "job.accepted"), True),
        (("INSERT", None, "queued"), False),
        (("MODIFY", "queued", "running", "job.started"), True),
        (("MODIFY", "failed", "running", "job.started"), True),
        *(
            (("MODIFY", before, after), True)
            for before in ("queued", "running")
            for after in ("succeeded", "failed", "cancelled")
        ),
        (("MODIFY", "running", "running"), False),
        (("MODIFY", "running", "queued", "job.started"), False),
        # In the place of a job that has expired before anybody ran it: nothing else writes a job that waits, and leaves it so.
        (("MODIFY", "queued", "queued", "job.accepted"), True),
        (("MODIFY", "succeeded", "succeeded"), False),
        (("REMOVE", "succeeded", None), False),
        (("INSERT", None, "validating", "batch.accepted"), True),
        (("MODIFY", "completed", "validating", "batch.accepted"), True),
        (("MODIFY", "validating", "validating", "batch.validating"), False),
        (("MODIFY", "validating", "in_progress", "batch.started"), True),
        (("MODIFY", "in_progress", "in_progress", "batch.started"), False),
        (("MODIFY", "in_progress", "finalizing", "batch.finalizing"), False),
        (("MODIFY", "in_progress", "cancelling", "batch.cancelling"), False),
        *(
            (("MODIFY", before, after, f"batch.{after}"), True)
            for before in ("validating", "in_progress", "finalizing", "cancelling")
            for after in ("completed", "failed", "expired", "cancelled")
        ),
    ],
)
def test_the_acceptance_and_each_change_of_the_status_are_events_and_nothing_else(
    changes: tuple[Any, ...], is_event: bool
) -> None:
    filters = made().inputs("jobs-pipe")["sourceParameters"]["filterCriteria"]["filters"]
    assert 1 <= len(filters) <= 5
    assert any(passes(json.loads(each["pattern"]), record(*changes)) for each in filters) is is_event


@pytest.mark.assumes("pipe-event")
def test_a_pipe_makes_an_event_of_the_item_s_own_attributes() -> None:
    recording = made()
    pipe = recording.inputs("jobs-pipe")
    assert (pipe["source"], pipe["target"]) == (JOBS["stream_arn"], arn(recording, "jobs-bus"))
    parameters = pipe["targetParameters"]
    assert parameters["eventbridgeEventBusParameters"] == {
        "detailType": "$.dynamodb.NewImage.event.S",
        "source": "pulumi-llm.jobs",
    }
    image = {"job.S": '"job_1"', "tenant.S": r'"a \"b\""', "alias.S": '"fast"', "status.S": '"queued"', "version.N": "1"}
    image["created.S"] = '"2026-11-30T19:02:44.123Z"'
    template = parameters["inputTemplate"]
    for path, value in image.items():
        template = template.replace(f"<$.dynamodb.NewImage.{path}>", value)
    assert json.loads(template) == {
        "job": "job_1",
        "tenant": 'a "b"',
        "alias": "fast",
        "status": "queued",
        "created": "2026-11-30T19:02:44.123Z",
        "version": "1",
    }


def test_a_change_that_is_no_event_yet_is_tried_as_long_as_the_stream_has_it_and_what_is_dropped_leaves_a_trace() -> None:
    recording = made()
    stream = recording.inputs("jobs-pipe")["sourceParameters"]["dynamodbStreamParameters"]
    # An event bus takes ten at once; a pipe with more is refused.
    assert stream["batchSize"] == 10 and stream["startingPosition"] == "TRIM_HORIZON"
    # The stream has it for 24 hours. Where it goes then, its place must still be found there.
    assert 22 * 3_600 <= stream["maximumRecordAgeInSeconds"] < 24 * 3_600
    assert stream["deadLetterConfig"] == {"arn": arn(recording, "jobs-undelivered")}
    target = recording.inputs("jobs-target")
    assert target["deadLetterConfig"] == stream["deadLetterConfig"]
    assert target["retryPolicy"] == {"maximumEventAgeInSeconds": 86_400, "maximumRetryAttempts": 185}


def test_events_are_kept_and_described_where_that_is_wanted() -> None:
    recording = made(event_archive_days=30, event_schemas=True)
    archive = recording.inputs("jobs-archive")
    assert (archive["eventSourceArn"], archive["retentionDays"]) == (arn(recording, "jobs-bus"), 30)
    # The first event is kept, too.
    assert recording.named("jobs-archive").urn in recording.named("jobs-pipe").dependencies
    registry = recording.named("jobs-schemas").state["name"]
    of_jobs = [f"job.{each}" for each in ("accepted", "started", "succeeded", "failed", "cancelled")]
    of_batches = [f"batch.{each}" for each in ("accepted", "started", "completed", "failed", "expired", "cancelled")]
    for event in (*of_jobs, *of_batches):
        schema = recording.inputs(f"jobs-schema-{event.replace('.', '-')}")
        assert (schema["name"], schema["registryName"]) == (f"pulumi-llm.jobs@{event}", registry)
        assert json.loads(schema["content"]) == json.loads((ROOT / f"docs/events/{event}.json").read_text())
    without = {each.type for each in made().custom()}
    assert not {kind for kind in without if "schemas" in kind or "Archive" in kind}


def job_item(status: Status) -> Item:
    job = new_job(Caller("shop", "key_1"), "fast", {"message": "Hello"}, 1_800_000_000)
    return item_of(msgspec.structs.replace(job, status=status, version=12))


def batch_item(status: batch.Status) -> Item:
    new = batch.new_batch(Caller("shop", "key_1"), {}, 1_800_000_000, endpoint="/v1/embeddings", input_file="file-1")
    item = batch.item_of(msgspec.structs.replace(new, status=status, version=12))
    return item if status == "validating" else item | {"event": {"S": batch.event_of(status)}}


@pytest.mark.parametrize(
    "item",
    [
        *(pytest.param(job_item(status), id=f"job {status}") for status in STATUSES),
        *(pytest.param(batch_item(status), id=f"batch {status}") for status in ("validating", "in_progress", *batch.ENDED_BY)),
    ],
)
def test_an_event_is_what_its_schema_says(item: Item) -> None:
    """As the local run renders the pipe's template for an item that functions write."""
    parameters = made().inputs("jobs-pipe")["targetParameters"]
    put: dict[str, Any] = parameters["eventbridgeEventBusParameters"]
    event: dict[str, Any] = {"version": "0", "id": "1", "account": ACCOUNT, "time": "2026-01-01T00:00:00Z"}
    event |= {"region": "us-east-1", "resources": []}
    change = {"dynamodb": {"NewImage": item}}
    event |= {"source": put["source"], "detail-type": value_at(change, put["detailType"])}
    event["detail"] = InputTemplate(parameters["inputTemplate"]).rendered(change, {})
    assert event["detail"]["version"] == "12"
    schema = json.loads((ROOT / f"docs/events/{event['detail-type']}.json").read_text())
    jsonschema_rs.Draft4Validator(schema).validate(event)
    wrong = {**event, "detail": {**event["detail"], "status": "done"}}
    assert not jsonschema_rs.Draft4Validator(schema).is_valid(wrong)


@pytest.mark.assumes("pipe-role")
def test_the_pipe_may_read_the_stream_and_put_events_and_only_it_takes_the_role() -> None:
    recording = made(jobs={**JOBS, "kms_key_arn": KEY})
    found = statements(recording, "jobs-pipe-role-policy")
    assert {sid: (each["Action"], each["Resource"]) for sid, each in found.items()} == {
        "ReadChanges": (
            ["dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator"],
            JOBS["stream_arn"],
        ),
        "FindStream": (["dynamodb:ListStreams"], "*"),
        "PutEvents": (["events:PutEvents"], arn(recording, "jobs-bus")),
        "KeepUndelivered": (["sqs:SendMessage"], arn(recording, "jobs-undelivered")),
        "DecryptChanges": (["kms:Decrypt"], KEY),
    }
    (trust,) = json.loads(recording.inputs("jobs-pipe-role")["assumeRolePolicy"])["Statement"]
    assert trust["Principal"] == {"Service": "pipes.amazonaws.com"}
    assert trust["Condition"] == {
        "StringEquals": {"aws:SourceAccount": ACCOUNT},
        "ArnLike": {"aws:SourceArn": f"arn:aws:pipes:us-east-1:{ACCOUNT}:pipe/*"},
    }


@pytest.mark.assumes("pipe-first-up")
def test_the_pipe_is_made_last_and_has_a_name_to_ask_for() -> None:
    """What it reads with and where it sends must be known everywhere at AWS by then."""
    args: Any = {"models": MODELS, "jobs": JOBS}

    def program() -> None:
        before = sns.Topic("before")
        pulumi_llm.AsyncInference("jobs", args, pulumi.ResourceOptions(depends_on=[before]))

    recording = programs.run(program)
    pipe = recording.named("jobs-pipe")
    first = ("jobs-pipe-role-policy", "jobs-queue-policy", "jobs-undelivered-policy", "jobs-target", "jobs-mapping")
    assert {recording.named(name).urn for name in first} <= {*pipe.dependencies, *recording.named("jobs-target").dependencies}
    assert recording.named("before").urn in pipe.dependencies
    assert recording.named("jobs").outputs["pipe_name"] == pipe.state["name"]


@pytest.mark.assumes("replay-name")
def test_the_rule_sends_accepted_jobs_to_the_queue_and_only_it_may() -> None:
    recording = made()
    rule, bus = recording.inputs("jobs-rule"), recording.named("jobs-bus").state["name"]
    assert json.loads(rule["eventPattern"]) == {
        "source": ["pulumi-llm.jobs"],
        "detail-type": ["job.accepted"],
        # A replay runs no job again.
        "replay-name": [{"exists": False}],
    }
    assert rule["eventBusName"] == bus and recording.inputs("jobs-target")["eventBusName"] == bus
    assert recording.inputs("jobs-target")["arn"] == arn(recording, "jobs-queue")
    for name in ("queue", "undelivered"):
        policy = statements(recording, f"jobs-{name}-policy")
        sends = policy["RulesSend"]
        assert sends["Condition"] == {"ArnEquals": {"aws:SourceArn": arn(recording, "jobs-rule")}}
        assert (sends["Action"], sends["Resource"]) == ("sqs:SendMessage", arn(recording, f"jobs-{name}"))
    assert f"rule/{bus}/" in arn(recording, "jobs-rule")
    for name in ("queue", "undelivered", "dead-letters"):
        refused = statements(recording, f"jobs-{name}-policy")["OnlyByTls"]
        assert (refused["Effect"], refused["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})
    assert set(statements(recording, "jobs-dead-letters-policy")) == {"OnlyByTls"}


@pytest.mark.parametrize("timeout", [30, 300, 900])
def test_a_message_waits_longer_than_the_worker_works_and_as_long_as_there_is_a_job(timeout: int) -> None:
    recording = made(timeout_seconds=timeout)
    queue, dead = recording.inputs("jobs-queue"), recording.inputs("jobs-dead-letters")
    # Lambda refuses a mapping whose queue shows messages again before the function's timeout, and SQS more than 12 hours.
    assert queue["visibilityTimeoutSeconds"] == 6 * timeout <= 43_200
    assert queue["messageRetentionSeconds"] == JOBS_KEPT_DAYS * 86_400 < dead["messageRetentionSeconds"] == 1_209_600
    redrive = json.loads(queue["redrivePolicy"])
    assert redrive == {"deadLetterTargetArn": arn(recording, "jobs-dead-letters"), "maxReceiveCount": 20}
    allowed = json.loads(recording.inputs("jobs-dead-letters-redrive")["redriveAllowPolicy"])
    assert allowed == {"redrivePermission": "byQueue", "sourceQueueArns": [arn(recording, "jobs-queue")]}
    assert queue["sqsManagedSseEnabled"] is dead["sqsManagedSseEnabled"] is True


def test_the_worker_is_called_by_its_alias_with_a_bound_and_fails_single_messages() -> None:
    recording = made(maximum_concurrency=9, batch_size=3, max_tries=7, debug=True)
    mapping = recording.inputs("jobs-mapping")
    assert mapping["functionName"] == arn(recording, "jobs-worker-alias")
    assert mapping["eventSourceArn"] == arn(recording, "jobs-queue")
    assert (mapping["batchSize"], mapping["scalingConfig"]) == (3, {"maximumConcurrency": 9})
    assert mapping["functionResponseTypes"] == ["ReportBatchItemFailures"]
    function = recording.inputs("jobs-worker-function")
    assert (function["handler"], function["publish"]) == ("llm_functions.worker.handler", True)
    assert function["environment"]["variables"]["DEBUG"] == "true"
    variables = function["environment"]["variables"]
    assert variables["JOBS_QUEUE_URL"] == recording.named("jobs-queue").state["url"]
    assert variables["JOBS_DEAD_LETTERS_URL"] == recording.named("jobs-dead-letters").state["url"]
    assert variables["JOBS_MAX_TRIES"] == "7"
    assert (variables["JOBS_TABLE"], variables["JOBS_BUCKET"]) == ("chat-jobs", "chat-jobs-bucket")


def test_the_worker_may_do_what_it_does_and_no_more() -> None:
    recording = made(jobs={**JOBS, "kms_key_arn": KEY})
    found = statements(recording, "jobs-worker-policy")
    assert {sid: (each["Action"], each["Resource"]) for sid, each in found.items()} == {
        "UseJobs": (["dynamodb:GetItem", "dynamodb:UpdateItem"], TABLE),
        "DecryptJobs": (["kms:Decrypt"], KEY),
        "JobObjects": (["s3:GetObject", "s3:PutObject"], "arn:aws:s3:::chat-jobs-bucket/jobs/*"),
        "FindObjects": (["s3:ListBucket"], "arn:aws:s3:::chat-jobs-bucket"),
        "EncryptJobs": (["kms:Decrypt", "kms:GenerateDataKey"], KEY),
        "TakeMessages": (
            [
                f"sqs:{action}"
                for action in (
                    "ChangeMessageVisibility",
                    "DeleteMessage",
                    "GetQueueAttributes",
                    "ReceiveMessage",
                    "SendMessage",
                )
            ],
            arn(recording, "jobs-queue"),
        ),
        "GiveUp": (["sqs:SendMessage"], arn(recording, "jobs-dead-letters")),
    }


def test_the_worker_counts_checks_and_looks_up_as_the_api_does() -> None:
    args: Any = ARGUMENTS["AsyncInference"]["everything"]
    recording = programs.run(lambda: pulumi_llm.AsyncInference("jobs", args))
    variables = recording.inputs("jobs-worker-function")["environment"]["variables"]
    assert variables["LEDGER_TABLE"] == args["ledger_table"]["name"]
    assert variables["GUARDRAIL_ARN"] == args["safety"]["guardrail"]["arn"]
    assert variables["FLAGS_CONFIGURATION"] == args["flags"]["configuration"]
    assert variables["KNOWLEDGE_BASE_ID"] == args["retrieval"]["knowledge_base_arn"].rpartition("/")[2]
    assert {"UseLedger", "ReadFlags", "RetrievePassages", "Spans"} <= set(statements(recording, "jobs-worker-policy"))


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"maximum_concurrency": 1}, "maximum_concurrency"),
        ({"batch_size": 11}, "batch_size"),
        ({"maximum_concurrency": 30, "reserved_concurrency": 29}, "must be at least maximum_concurrency, which is 30"),
        ({"limits": {"requests": {"day": 9}}}, "ledger_table"),
        ({"ledger_table": {"name": "ledger", "arn": TABLE}}, "is only for limits"),
        ({"safety": {"guardrail": {"profanity": True}}}, "safety.guardrail.arn"),
        ({"jobs": {**JOBS, "stream_arn": TABLE}}, "jobs.stream_arn"),
        ({"rules": [{"name": "none", "models": ["other"]}]}, "rules[0].models[0]"),
    ],
)
def test_what_aws_or_the_worker_would_refuse_is_an_error(settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(pulumi.InputPropertiesError) as raised:
        made(**settings)
    told = [f"{each['property_path']} {each['reason']}" for each in raised.value.errors or ()]
    assert any(problem in each for each in told), told


SAID: dict[str, Any] = {"limits": {}, "rules": [], "safety": {}}


@pytest.mark.parametrize("unsaid", ["", "limits", "rules", "safety", "limits, rules, safety"])
def test_what_the_api_may_have_and_is_not_said_here_is_warned_of(unsaid: str, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(pulumi.log, "warn", lambda message, **_: told.append(message))
    made(**{name: value for name, value in SAID.items() if name not in unsaid})
    assert [message.partition(":")[0] for message in told] == ([unsaid] if unsaid else [])


# What the API makes for it.


def test_an_api_that_takes_jobs_has_a_table_with_a_stream_and_a_private_bucket() -> None:
    recording: Recording = programs.run(lambda: programs.chat(jobs=True, kms_key_arn=KEY))
    table = recording.inputs("chat-jobs-table")
    assert (table["hashKey"], table["streamEnabled"], table["streamViewType"]) == ("job", True, "NEW_AND_OLD_IMAGES")
    assert table["ttl"] == {"attributeName": "expires", "enabled": True}
    assert sorted(each["name"] for each in table["attributes"]) == ["created", "job", "open_owner", "owner"]
    index, open_ones = table["globalSecondaryIndexes"]
    assert (index["name"], index["hashKey"], index["rangeKey"]) == ("by-owner", "owner", "created")
    assert (open_ones["name"], open_ones["hashKey"], open_ones["rangeKey"]) == ("open-by-owner", "open_owner", "created")
    assert index["onDemandThroughput"] == open_ones["onDemandThroughput"] == table["onDemandThroughput"]
    # What it has never changes while a job is open.
    assert open_ones["nonKeyAttributes"] == ["expires"]
    # A worker's sign of life changes the lease. It is to write the table alone.
    assert index["projectionType"] == "INCLUDE" and {"status", "usage"} < set(index["nonKeyAttributes"])
    assert not {"lease", "run", "message", "job", "owner", "created"} & set(index["nonKeyAttributes"])
    assert table["serverSideEncryption"] == {"enabled": True, "kmsKeyArn": KEY}
    assert table["pointInTimeRecovery"] == {"enabled": True} and table["deletionProtectionEnabled"] is True
    (rule,) = recording.inputs("chat-jobs-bucket-lifecycle")["rules"]
    assert (rule["filter"], rule["expiration"]) == ({"prefix": "jobs/"}, {"days": JOBS_KEPT_DAYS})
    assert "chat-jobs-bucket-versioning" not in recording.names(), "an expired object would stay as an old version"
    found = statements(recording, "chat-jobs-policy")
    table_arn, bucket_arn = arn(recording, "chat-jobs-table"), arn(recording, "chat-jobs-bucket")
    assert {sid: (each["Action"], each["Resource"]) for sid, each in found.items()} == {
        "UseJobs": (["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"], table_arn),
        "ListJobs": (["dynamodb:Query"], [f"{table_arn}/index/by-owner", f"{table_arn}/index/open-by-owner"]),
        "JobObjects": (["s3:GetObject", "s3:PutObject"], f"{bucket_arn}/jobs/*"),
        "FindObjects": (["s3:ListBucket"], bucket_arn),
        "EncryptJobs": (["kms:Decrypt", "kms:GenerateDataKey"], KEY),
    }
    variables = recording.inputs("chat-function")["environment"]["variables"]
    assert variables["JOBS_TABLE"] == recording.named("chat-jobs-table").state["name"]
    outputs = recording.named("chat").outputs
    assert outputs["jobs_stream_arn"] == recording.named("chat-jobs-table").state["streamArn"]
    assert outputs["jobs_bucket_name"] == variables["JOBS_BUCKET"]


def test_an_api_that_takes_batches_has_their_operations_and_may_keep_files() -> None:
    recording: Recording = programs.run(lambda: programs.chat(jobs=True, batches=True))
    rules = recording.inputs("chat-jobs-bucket-lifecycle")["rules"]
    # A batch may begin to read a file just before that is no longer shown, and reads it for a day.
    assert {rule["filter"]["prefix"]: rule["expiration"]["days"] for rule in rules} == {
        "jobs/": JOBS_KEPT_DAYS,
        "batches/": JOBS_KEPT_DAYS,
        "files/": JOBS_KEPT_DAYS + 2,
    }
    found = statements(recording, "chat-jobs-policy")
    assert "dynamodb:BatchGetItem" in found["UseJobs"]["Action"]
    files = ["s3:DeleteObject", "s3:GetObject", "s3:PutObject"]
    assert (found["Files"]["Action"], found["Files"]["Resource"]) == (files, f"{arn(recording, 'chat-jobs-bucket')}/files/*")
    assert recording.inputs("chat-function")["environment"]["variables"]["BATCHES"] == "true"
    paths = {resource.inputs["pathPart"] for resource in recording.of_type("aws:apigateway/resource:Resource")}
    assert {"files", "content", "batches", "cancel"} < paths


def test_batches_need_jobs() -> None:
    with pytest.raises(pulumi.InputPropertiesError) as error:
        programs.run(lambda: programs.chat(batches=True))
    (detail,) = error.value.errors or []
    assert detail["property_path"] == "batches" and "jobs: true" in detail["reason"]
    plain: Recording = programs.run(lambda: programs.chat(jobs=True))
    assert "BATCHES" not in plain.inputs("chat-function")["environment"]["variables"]
    assert not [each for each in plain.of_type("aws:apigateway/resource:Resource") if each.inputs["pathPart"] == "batches"]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("jobs_per_caller", "jobs"),
        ("batches_per_caller", "batches"),
        ("batch_requests_per_caller", "batches"),
        ("files_per_caller", "batches"),
    ],
)
def test_how_much_a_caller_may_have(name: str, kind: str) -> None:
    recording: Recording = programs.run(lambda: programs.chat(jobs=True, batches=True, **{name: 50}))
    assert recording.inputs("chat-function")["environment"]["variables"][name.upper()] == "50"
    with pytest.raises(pulumi.InputPropertiesError) as error:
        programs.run(lambda: programs.chat(**{name: 50}))
    (detail,) = error.value.errors or []
    assert detail == {"property_path": name, "reason": f"is only for {kind}, and there are none; leave it out"}


def test_jobs_need_callers_that_are_known() -> None:
    with pytest.raises(pulumi.InputPropertiesError) as error:
        programs.run(lambda: programs.chat(jobs=True, auth="none"))
    (detail,) = error.value.errors or []
    assert detail["property_path"] == "jobs" and "everyone's jobs" in detail["reason"]
    for auth in ("api_key", "iam"):
        assert "chat-jobs-table" in programs.run(lambda auth=auth: programs.chat(jobs=True, auth=auth)).names()


def test_an_api_without_jobs_has_nothing_of_them() -> None:
    recording: Recording = programs.run(programs.chat)
    assert not [name for name in recording.names() if "jobs" in name]
    assert recording.named("chat").outputs["jobs_stream_arn"] == ""
    assert not {name for name in recording.inputs("chat-function")["environment"]["variables"] if name.startswith("JOBS")}


BATCHES: dict[str, Any] = {"maximum_concurrency": 7, "lines_per_call": 3, "memory_mb": 1024}


def test_without_batches_there_is_nothing_of_them() -> None:
    assert not [each.name for each in made().custom() if "batch" in each.name]


@pytest.mark.assumes("batch-machine")
def test_the_state_machine_of_batches_is_what_step_functions_takes() -> None:
    recording = made(batches=BATCHES, max_tries=6)
    machine = recording.inputs("jobs-batch-machine")
    text = machine["definition"]
    states = parse(text)["States"]
    assert len(text) < 1_000_000 and machine["type"] == "STANDARD"
    function = arn(recording, "jobs-batch-alias")
    chunks = states["Answer"]["ItemProcessor"]["States"]
    calls = [each for each in (*states.values(), *chunks.values()) if each["Type"] == "Task"]
    assert len(calls) == 5 and {each["Parameters"]["FunctionName"] for each in calls} == {function}
    # Lambda is waited for longer than it takes.
    assert {each["TimeoutSeconds"] for each in calls} == {960}
    assert recording.inputs("jobs-batch-function")["timeout"] == 900
    assert states["Answer"]["MaxConcurrency"] == 7
    # With the last one, what fails is tried as often as a job.
    assert [each["MaxAttempts"] for each in chunks["Infer"]["Retry"] if each["ErrorEquals"] == ["States.ALL"]] == [4]
    # A cancelled batch is seen in minutes.
    assert [each["MaxDelaySeconds"] for each in chunks["Infer"]["Retry"] if each["ErrorEquals"] == ["Postponed"]] == [300]
    # A chunk never fails, and its result is short: those of 50,000 chunks fit into 256 KiB.
    assert [each["MaxAttempts"] for each in chunks["LastTry"]["Retry"] if each["ErrorEquals"] == ["States.ALL"]] == [0]
    assert chunks["LastTry"]["Catch"][0]["Next"] == "Left" and chunks["Left"]["Result"] == 0
    assert len(json.dumps([0] * 50_000, separators=(",", ":"))) < 256 * 1024
    # Nothing but ids and keys is given from state to state.
    assert machine["loggingConfiguration"] == {
        "level": "ERROR",
        "includeExecutionData": False,
        "logDestination": arn(recording, "jobs-batch-machine-logs") + ":*",
    }


def test_the_function_of_batches_runs_as_the_workers_do() -> None:
    recording = made(batches=BATCHES, timeout_seconds=200)
    function, worker = recording.inputs("jobs-batch-function"), recording.inputs("jobs-worker-function")
    assert function["role"] == worker["role"] and function["memorySize"] == 1024
    own, others = function["environment"]["variables"], worker["environment"]["variables"]
    assert (own["BATCH_LINES_PER_CALL"], own["BATCH_ANSWER_SECONDS"]) == ("3", "200")
    assert own["JOBS_TABLE"] == others["JOBS_TABLE"] and own["JOBS_BUCKET"] == others["JOBS_BUCKET"]
    found = statements(recording, "jobs-batch-policy")
    assert found["WriteFiles"]["Resource"] == TABLE
    bucket = "arn:aws:s3:::chat-jobs-bucket"
    assert found["BatchObjects"]["Resource"] == [f"{bucket}/batches/*", f"{bucket}/files/*"]


@pytest.mark.parametrize(
    ("given", "reserved"),
    [
        ({}, 20),
        ({"maximum_concurrency": 30}, 30),
        ({"maximum_concurrency": 30, "reserved_concurrency": 45}, 45),
        ({"reserved_concurrency": 0}, None),
    ],
)
def test_all_batches_together_take_no_more_executions_than_are_reserved_for_them(
    given: dict[str, Any], reserved: int | None
) -> None:
    function = made(batches=given).inputs("jobs-batch-function")
    assert function.get("reservedConcurrentExecutions") == reserved


def test_batches_wait_for_executions_as_long_as_they_last() -> None:
    """All that are reserved may be held by others for hours; a chunk that gave up would lose its lines."""
    states = parse(made(batches=BATCHES).inputs("jobs-batch-machine")["definition"])["States"]
    calls = [states["Prepare"], states["Finish"], *states["Answer"]["ItemProcessor"]["States"].values()]
    for call in (each for each in calls if each["Type"] == "Task"):
        throttled = next(each for each in call["Retry"] if "Lambda.TooManyRequestsException" in each["ErrorEquals"])
        longest = throttled["MaxAttempts"] * throttled["MaxDelaySeconds"] / 2
        assert longest > 24 * 3600 and throttled["JitterStrategy"] == "FULL"


@pytest.mark.assumes("batch-machine")
def test_the_state_machine_may_do_its_steps_and_nothing_else() -> None:
    recording = made(batches=BATCHES, jobs={**JOBS, "kms_key_arn": KEY})
    machine = arn(recording, "jobs-batch-machine")
    found = statements(recording, "jobs-batch-machine-policy") | statements(recording, "jobs-batch-map-policy")
    assert set(found) == {"DoSteps", "ReadChunks", "DecryptChunks", "DeliverLogs", "StartChunks", "FollowChunks"}
    assert found["DoSteps"]["Resource"] == arn(recording, "jobs-batch-alias")
    assert found["ReadChunks"]["Resource"] == "arn:aws:s3:::chat-jobs-bucket/batches/*/chunks.jsonl"
    assert found["DecryptChunks"]["Condition"] == {"StringEquals": {"kms:ViaService": "s3.us-east-1.amazonaws.com"}}
    assert found["StartChunks"]["Resource"] == machine
    executions = machine.replace(":stateMachine:", ":execution:")
    assert found["FollowChunks"]["Resource"] == [f"{executions}:*", f"{executions}/*:*"]
    trust = json.loads(recording.inputs("jobs-batch-machine-role")["assumeRolePolicy"])["Statement"][0]
    assert trust["Condition"] == {
        "StringEquals": {"aws:SourceAccount": ACCOUNT},
        "ArnLike": {"aws:SourceArn": f"arn:aws:states:us-east-1:{ACCOUNT}:stateMachine:*"},
    }
    assert fnmatchcase(machine, trust["Condition"]["ArnLike"]["aws:SourceArn"])


@pytest.mark.parametrize("key", ["pipe", "batch-machine"])
def test_a_role_is_taken_for_whatever_name_its_owner_is_given(key: str) -> None:
    recording = made(batches=BATCHES, customize={key: {"name": "of-our-own"}})
    role = "pipe-role" if key == "pipe" else "batch-machine-role"
    trust = json.loads(recording.inputs(f"jobs-{role}")["assumeRolePolicy"])["Statement"][0]
    owner = arn(recording, f"jobs-{key}")
    assert owner.endswith("of-our-own") and fnmatchcase(owner, trust["Condition"]["ArnLike"]["aws:SourceArn"])


def test_an_accepted_batch_starts_the_state_machine_and_nothing_else_does() -> None:
    recording = made(batches=BATCHES)
    rule, target = recording.inputs("jobs-batch-rule"), recording.inputs("jobs-batch-target")
    pattern = EventPattern(rule["eventPattern"])
    accepted = {"source": "pulumi-llm.jobs", "detail-type": "batch.accepted"}
    assert pattern.matches(accepted)
    for other in ("job.accepted", "batch.started", "batch.completed"):
        assert not pattern.matches({**accepted, "detail-type": other})
    assert not pattern.matches({**accepted, "replay-name": "again"})
    assert target["arn"] == arn(recording, "jobs-batch-machine")
    assert target["deadLetterConfig"] == {"arn": arn(recording, "jobs-undelivered")}
    found = statements(recording, "jobs-batch-rule-policy")
    assert found["StartBatches"]["Resource"] == target["arn"]
    # The rules of jobs and of batches may both send there what they cannot deliver.
    policy = recording.inputs("jobs-undelivered-policy")["policy"]
    for name in ("jobs-rule", "jobs-batch-rule"):
        assert arn(recording, name) in policy
