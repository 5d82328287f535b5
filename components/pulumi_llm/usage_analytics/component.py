"""UsageAnalytics: counts what callers use, from the logs."""

import json
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any

import pulumi
from pulumi_aws import cloudwatch, get_caller_identity_output, iam, lambda_, sqs

from llm_gateway import environment as variables
from llm_gateway.metrics import MESSAGES
from pulumi_llm.api_edge.tables import UsedTable
from pulumi_llm.base import bundle
from pulumi_llm.base.component import Component
from pulumi_llm.base.iam import allow, only_by_tls_to_queue, policy_document
from pulumi_llm.base.lambda_function import Published, Shared, publish
from pulumi_llm.base.location import Location
from pulumi_llm.base.settings import read_arguments
from pulumi_llm.usage_analytics.args import UsageAnalyticsSettings
from pulumi_llm.usage_analytics.args_types import UsageAnalyticsArgs

# A batch may have thousands of records, of which a transaction writes some hundred.
_TIMEOUT_SECONDS = 120
_MEMORY_MB = 256
# SQS keeps no message longer.
_DEAD_LETTER_SECONDS = 14 * 24 * 60 * 60
# The records of requests, and no other lines.
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html
_PATTERN = "{ " + " || ".join(f'($.message = "{message}")' for message in MESSAGES) + " }"


class UsageAnalytics(Component):
    """Counts what callers of a ServerlessBedrockApi use (`usage`), by day, alias and target. It reads the records that each
    request leaves in the log, so it costs no request any time.

    Raises `pulumi.InputPropertiesError` that lists every argument that is wrong.
    """

    CHILDREN = MappingProxyType(
        {
            "writer-logs": cloudwatch.LogGroup,
            "writer-role": iam.Role,
            "writer-logs-policy": iam.RolePolicy,
            "writer-policy": iam.RolePolicy,
            "writer-function": lambda_.Function,
            "writer-alias": lambda_.Alias,
            "dead-letters": sqs.Queue,
            "dead-letters-policy": sqs.QueuePolicy,
            "permission": lambda_.Permission,
            "filter": cloudwatch.LogSubscriptionFilter,
        }
    )

    function_name: pulumi.Output[str]
    """The function that counts."""
    function_arn: pulumi.Output[str]
    """Its ARN, without a version."""
    role_name: pulumi.Output[str]
    """Its role, for policies of your own."""
    log_group_name: pulumi.Output[str]
    """Its log group."""
    dead_letter_queue_url: pulumi.Output[str]
    """The queue of what could not be counted: each message is an event for the function."""
    dead_letter_queue_arn: pulumi.Output[str]
    """Its ARN."""

    def __init__(self, name: str, args: UsageAnalyticsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        settings, _ = read_arguments(type(self).__name__, name, UsageAnalyticsSettings, args, self.CHILDREN, opts, _made)
        super().__init__(name, opts, settings.tags, settings.customize)
        queue = self._dead_letters()
        writer = self._writer(settings, queue)
        for key, arn in settings.log_groups.items():
            self._subscribe(key, arn, writer)
        self.function_name, self.function_arn = writer.function.name, writer.function.arn
        self.role_name, self.log_group_name = writer.role.name, writer.log_group.name
        self.dead_letter_queue_url, self.dead_letter_queue_arn = queue.url, queue.arn
        self.finish()

    def _dead_letters(self) -> sqs.Queue:
        queue = sqs.Queue(
            self.child_name("dead-letters"),
            message_retention_seconds=_DEAD_LETTER_SECONDS,
            sqs_managed_sse_enabled=True,
            tags=self.tags,
            opts=self.child("dead-letters"),
        )
        sqs.QueuePolicy(
            self.child_name("dead-letters-policy"),
            queue_url=queue.url,
            policy=queue.arn.apply(lambda arn: json.dumps(policy_document(only_by_tls_to_queue(arn)))),
            opts=self.child("dead-letters-policy"),
        )
        return queue

    def _writer(self, settings: UsageAnalyticsSettings, queue: sqs.Queue) -> Published:
        """Make the function, which may add to the table, and nothing else.

        Lambda tries a batch three times, and sends it to the queue then, with the function's role.
        https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html#invocation-dlq
        """
        table = UsedTable.of(settings.table)
        statements: list[dict[str, Any]] = [
            # A transaction needs the permissions of its writes.
            # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html
            *table.allow("Add", "Usage", "PutItem", "UpdateItem"),
            allow("GiveUp", ["sqs:SendMessage"], queue.arn),
        ]
        return publish(
            self,
            "writer-",
            Shared(log_retention_days=settings.log_retention_days, kms_key_arn=settings.kms_key_arn),
            description="Counts what callers use",
            code=bundle.archive(),
            handler="llm_functions.usage_writer.handler",
            memory_mb=_MEMORY_MB,
            timeout_seconds=_TIMEOUT_SECONDS,
            environment={variables.USAGE_TABLE: table.name},
            policies={"writer-policy": statements},
            dead_letter_queue_arn=queue.arn,
        )

    def _subscribe(self, key: str, arn: pulumi.Input[str], writer: Published) -> None:
        """Have the records of a log group handed to the function.

        https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/SubscriptionFilters.html#LambdaFunctionExample
        """
        permission = lambda_.Permission(
            f"{self.child_name('permission')}-{key}",
            action="lambda:InvokeFunction",
            function=writer.function.name,
            qualifier=writer.alias.name,
            principal="logs.amazonaws.com",
            source_arn=pulumi.Output.format("{}:*", arn),
            source_account=get_caller_identity_output(opts=self.invoke_options()).account_id,
            opts=self.child("permission"),
        )
        cloudwatch.LogSubscriptionFilter(
            f"{self.child_name('filter')}-{key}",
            log_group=pulumi.Output.from_input(arn).apply(lambda arn: arn.partition(":log-group:")[2]),
            filter_pattern=_PATTERN,
            destination_arn=writer.alias.arn,
            opts=self.child("filter", depends_on=[permission]),
        )


def _made(settings: UsageAnalyticsSettings, _location: Location) -> Mapping[str, Collection[str]]:
    """What stands behind the keys in the names of their children."""
    groups = list(settings.log_groups) if settings.valid("log_groups") else []
    return {"permission": groups, "filter": groups}
