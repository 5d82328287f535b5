"""The services that tell for which account they act, with the pages where AWS documents the condition on it."""

from collections.abc import Mapping
from typing import Final

_DOCS: Final = "https://docs.aws.amazon.com/"

TRUST: Final[Mapping[str, str]] = {
    "bedrock": f"{_DOCS}bedrock/latest/userguide/batch-iam-sr.html",
    "bedrock-agentcore": f"{_DOCS}bedrock-agentcore/latest/devguide/runtime-permissions.html",
    "codebuild": f"{_DOCS}codebuild/latest/userguide/cross-service-confused-deputy-prevention.html",
    "datasync": f"{_DOCS}datasync/latest/userguide/cross-service-confused-deputy-prevention.html",
    "logs": f"{_DOCS}AmazonCloudWatch/latest/logs/SubscriptionFilters.html",
    "personalize": f"{_DOCS}personalize/latest/dg/cross-service-confused-deputy-prevention.html",
    "sagemaker": f"{_DOCS}sagemaker/latest/dg/security-confused-deputy-prevention.html",
    "scheduler": f"{_DOCS}scheduler/latest/UserGuide/cross-service-confused-deputy-prevention.html",
    "states": f"{_DOCS}step-functions/latest/dg/procedure-create-iam-role.html",
    "transcribe": f"{_DOCS}transcribe/latest/dg/confused-deputy.html",
    "transfer": f"{_DOCS}transfer/latest/userguide/confused-deputy.html",
    "vpc-flow-logs": f"{_DOCS}vpc/latest/userguide/flow-logs-iam-role.html",
}
"""Services that take a role, by their principal's name. Lambda, EC2, EKS, ECS and API Gateway are not among them: AWS's
guides give their trust no condition, and they take a role only for its own account, where iam:PassRole guards it."""

RESOURCE: Final[Mapping[str, str]] = {
    "bedrock": f"{_DOCS}bedrock/latest/userguide/model-invocation-logging.html",
    "budgets": f"{_DOCS}cost-management/latest/userguide/budgets-sns-policy.html",
    "cloudfront": f"{_DOCS}AmazonCloudFront/latest/DeveloperGuide/private-content-restricting-access-to-s3.html",
    "cloudtrail": f"{_DOCS}awscloudtrail/latest/userguide/cross-service-confused-deputy-prevention.html",
    "cloudwatch": f"{_DOCS}sns/latest/dg/sns-access-policy-use-cases.html",
    "config": f"{_DOCS}config/latest/developerguide/s3-bucket-policy.html",
    "costalerts": f"{_DOCS}cost-management/latest/userguide/ad-SNS.html",
    "delivery.logs": f"{_DOCS}AmazonCloudWatch/latest/logs/AWS-logs-and-resource-policy.html",
    "events": f"{_DOCS}eventbridge/latest/userguide/eb-use-resource-based.html",
    "logging.s3": f"{_DOCS}AmazonS3/latest/userguide/enable-server-access-logging.html",
    "s3": f"{_DOCS}AmazonS3/latest/userguide/grant-destinations-permissions-to-s3.html",
    "ses": f"{_DOCS}ses/latest/dg/receiving-email-permissions.html",
    "sns": f"{_DOCS}sns/latest/dg/subscribe-sqs-queue-to-sns-topic.html",
}
"""Services that use a bucket, queue, topic, log group or another resource by its policy."""

KEY: Final[Mapping[str, str]] = {
    "cloudfront": f"{_DOCS}AmazonCloudFront/latest/DeveloperGuide/private-content-restricting-access-to-s3.html",
    "cloudtrail": f"{_DOCS}awscloudtrail/latest/userguide/create-kms-key-policy-for-cloudtrail.html",
    "logs": f"{_DOCS}AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html",
}
"""Services that use a KMS key by the key's policy. For other services, AWS's guides have no condition in the key's policy."""

UNCONDITIONAL: Final[Mapping[str, tuple[str, ...]]] = {
    # EventBridge's guide gives the policies of topics and of log groups without a condition.
    "events": (
        "aws:sns/topic:Topic",
        "aws:sns/topicPolicy:TopicPolicy",
        "aws:cloudwatch/logResourcePolicy:LogResourcePolicy",
    )
}
"""Cases in which a service of `RESOURCE` needs no condition."""
