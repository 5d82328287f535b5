"""AccountBaseline: what an account or a Region has only once. Opt-in; what others use stays when the stack is destroyed."""

import json
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import pulumi
from pulumi_aws import apigateway, bedrockmodel, cloudwatch, costexplorer, get_caller_identity_output, iam

from pulumi_llm.account_baseline.args import AccountBaselineSettings, CostAnomalySettings
from pulumi_llm.account_baseline.args_types import AccountBaselineArgs
from pulumi_llm.base.component import Component
from pulumi_llm.base.iam import allow, assume_role, policy_document
from pulumi_llm.base.location import Location
from pulumi_llm.base.settings import number_text, read_arguments

# The managed policy that AWS names for the role; it allows what API Gateway does with its log groups and no more.
# https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-logging.html
_API_GATEWAY_LOGS = "service-role/AmazonAPIGatewayPushToCloudWatchLogs"


class AccountBaseline(Component):
    """The once-only settings of an account and Region.

    What other stacks use stays in AWS when it is switched off here or the stack is destroyed: API Gateway's log role, GitHub's
    provider, the monitor of cost anomalies; and the log group of Bedrock's invocations, with what it holds. The notifications
    of anomalies and the logging of invocations end.

    Raises `pulumi.InputPropertiesError` that lists every argument that is wrong.
    """

    CHILDREN = MappingProxyType(
        {
            "api-gateway-role": iam.Role,
            "api-gateway-policy": iam.RolePolicyAttachment,
            "api-gateway-account": apigateway.Account,
            "github-oidc": iam.OpenIdConnectProvider,
            "anomaly-monitor": costexplorer.AnomalyMonitor,
            "anomaly-emails": costexplorer.AnomalySubscription,
            "anomaly-topic": costexplorer.AnomalySubscription,
            "bedrock-logs": cloudwatch.LogGroup,
            "bedrock-role": iam.Role,
            "bedrock-policy": iam.RolePolicy,
            "bedrock-logging": bedrockmodel.InvocationLoggingConfiguration,
        }
    )

    api_gateway_role_name: pulumi.Output[str]
    """The role that API Gateway logs with. Empty where it is not set here."""
    api_gateway_role_arn: pulumi.Output[str]
    """Its ARN. Empty where it is not set here."""
    github_oidc_provider_arn: pulumi.Output[str]
    """The provider of GitHub Actions' tokens. Empty where it is not made here."""
    anomaly_monitor_arn: pulumi.Output[str]
    """The cost anomaly monitor, made here or given. Empty where nobody is notified from here."""
    bedrock_log_group_name: pulumi.Output[str]
    """Where Bedrock's invocations are logged. Empty where they are not, or not from here."""
    bedrock_log_group_arn: pulumi.Output[str]
    """Its ARN. Empty where there is none."""
    bedrock_role_name: pulumi.Output[str]
    """The role that Bedrock logs with. Empty where there is none."""
    bedrock_role_arn: pulumi.Output[str]
    """Its ARN. Empty where there is none."""

    def __init__(self, name: str, args: AccountBaselineArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        settings, location = read_arguments(
            type(self).__name__, name, AccountBaselineSettings, args, self.CHILDREN, opts, _made
        )
        super().__init__(name, opts, settings.tags, settings.customize)
        nothing = pulumi.Output.from_input("")
        role = self._api_gateway_logs(location.partition) if settings.api_gateway_logs else None
        self.api_gateway_role_name, self.api_gateway_role_arn = (role.name, role.arn) if role else (nothing, nothing)
        self.github_oidc_provider_arn = self._github_oidc() if settings.github_oidc else nothing
        self.anomaly_monitor_arn = self._cost_anomalies(settings.cost_anomalies) if settings.cost_anomalies else nothing
        logs, role = self._bedrock_logs(settings) if settings.bedrock_invocation_logs else (None, None)
        self.bedrock_log_group_name, self.bedrock_log_group_arn = (logs.name, logs.arn) if logs else (nothing, nothing)
        self.bedrock_role_name, self.bedrock_role_arn = (role.name, role.arn) if role else (nothing, nothing)
        self.finish()

    def _kept(self, key: str, **options: Any) -> pulumi.ResourceOptions:
        return self.child(key, retain_on_delete=True, **options)

    def _api_gateway_logs(self, partition: str) -> iam.Role:
        role = iam.Role(
            self.child_name("api-gateway-role"),
            description="API Gateway writes its logs",
            # AWS documents no condition for it, and setting the account fails where API Gateway cannot take the role.
            assume_role_policy=json.dumps(assume_role("apigateway.amazonaws.com")),
            tags=self.tags,
            opts=self._kept("api-gateway-role"),
        )
        policy = iam.RolePolicyAttachment(
            self.child_name("api-gateway-policy"),
            role=role.name,
            policy_arn=f"arn:{partition}:iam::aws:policy/{_API_GATEWAY_LOGS}",
            opts=self._kept("api-gateway-policy"),
        )
        apigateway.Account(
            self.child_name("api-gateway-account"),
            cloudwatch_role_arn=role.arn,
            opts=self._kept("api-gateway-account", depends_on=[policy]),
        )
        return role

    def _github_oidc(self) -> pulumi.Output[str]:
        return iam.OpenIdConnectProvider(
            self.child_name("github-oidc"),
            url="https://token.actions.githubusercontent.com",
            client_id_lists=["sts.amazonaws.com"],
            tags=self.tags,
            opts=self._kept("github-oidc"),
        ).arn

    def _cost_anomalies(self, settings: CostAnomalySettings) -> pulumi.Output[str]:
        monitor = pulumi.Output.from_input(settings.monitor_arn or self._anomaly_monitor())
        # AWS sends single anomalies to a topic only, and summaries to addresses only.
        # https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_AnomalySubscription.html
        if settings.emails:
            self._anomaly_subscription("anomaly-emails", "DAILY", "EMAIL", settings.emails, monitor, settings)
        if settings.topic_arn:
            self._anomaly_subscription("anomaly-topic", "IMMEDIATE", "SNS", [settings.topic_arn], monitor, settings)
        return monitor

    def _anomaly_monitor(self) -> pulumi.Output[str]:
        return costexplorer.AnomalyMonitor(
            self.child_name("anomaly-monitor"),
            monitor_type="DIMENSIONAL",
            monitor_dimension="SERVICE",
            tags=self.tags,
            opts=self._kept("anomaly-monitor"),
        ).arn

    def _anomaly_subscription(
        self,
        key: str,
        frequency: str,
        kind: str,
        addresses: Sequence[pulumi.Input[str]],
        monitor: pulumi.Output[str],
        settings: CostAnomalySettings,
    ) -> None:
        minimum = pulumi.Output.from_input(settings.minimum_usd).apply(number_text)
        costexplorer.AnomalySubscription(
            self.child_name(key),
            frequency=frequency,
            monitor_arn_lists=[monitor],
            subscribers=[{"type": kind, "address": address} for address in addresses],
            threshold_expression={
                "dimension": {
                    "key": "ANOMALY_TOTAL_IMPACT_ABSOLUTE",
                    "match_options": ["GREATER_THAN_OR_EQUAL"],
                    "values": [minimum],
                }
            },
            tags=self.tags,
            opts=self.child(key),
        )

    def _bedrock_logs(self, settings: AccountBaselineSettings) -> tuple[cloudwatch.LogGroup, iam.Role]:
        logs = cloudwatch.LogGroup(
            self.child_name("bedrock-logs"),
            retention_in_days=settings.log_retention_days,
            kms_key_id=settings.kms_key_arn,
            tags=self.tags,
            opts=self._kept("bedrock-logs"),
        )
        account = get_caller_identity_output(opts=self.invoke_options()).account_id
        trust = account.apply(lambda account: assume_role("bedrock.amazonaws.com", account))
        role = iam.Role(
            self.child_name("bedrock-role"),
            description="Bedrock writes its invocation logs",
            assume_role_policy=pulumi.Output.json_dumps(trust),
            tags=self.tags,
            opts=self.child("bedrock-role"),
        )
        # https://docs.aws.amazon.com/bedrock/latest/userguide/model-invocation-logging.html
        stream = pulumi.Output.format("{}:log-stream:aws/bedrock/modelinvocations", logs.arn)
        statement = allow("Logs", ["logs:CreateLogStream", "logs:PutLogEvents"], stream)
        policy = iam.RolePolicy(
            self.child_name("bedrock-policy"),
            role=role.id,
            policy=pulumi.Output.json_dumps(policy_document(statement)),
            opts=self.child("bedrock-policy"),
        )
        bedrockmodel.InvocationLoggingConfiguration(
            self.child_name("bedrock-logging"),
            logging_config={
                "cloudwatch_config": {"log_group_name": logs.name, "role_arn": role.arn},
                "text_data_delivery_enabled": True,
                "embedding_data_delivery_enabled": False,
                "image_data_delivery_enabled": False,
                "video_data_delivery_enabled": False,
            },
            opts=self.child("bedrock-logging", depends_on=[policy]),
        )
        return logs, role


def _made(settings: AccountBaselineSettings, location: Location) -> Mapping[str, Collection[str]]:
    """Nothing for the keys of children that are not made, "" for the others."""
    anomalies = settings.cost_anomalies
    parts = {
        "api-gateway-": settings.api_gateway_logs,
        "github-oidc": settings.github_oidc,
        "anomaly-monitor": anomalies is not None and anomalies.monitor_arn is None,
        "anomaly-emails": anomalies is not None and bool(anomalies.emails),
        "anomaly-topic": anomalies is not None and anomalies.topic_arn is not None,
        "bedrock-": settings.bedrock_invocation_logs,
    }
    of_key = {key: next(made for part, made in parts.items() if key.startswith(part)) for key in AccountBaseline.CHILDREN}
    return {key: [""] if made else [] for key, made in of_key.items()}
