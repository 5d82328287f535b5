"""A topic that fans out to two queues of which one is in another region: each region has an explicit provider."""

import json

import pulumi
import pulumi_aws as aws

account = aws.get_caller_identity().account_id
tags = {"tags": {"Project": "events", "Environment": "staging", "Owner": "platform"}}
here = aws.Provider("virginia", region="us-east-1", default_tags=tags)
there = aws.Provider("ireland", region="eu-west-1", default_tags=tags)

topic = aws.sns.Topic("orders", kms_master_key_id="alias/aws/sns", opts=pulumi.ResourceOptions(provider=here))
aws.sns.TopicPolicy(
    "orders",
    arn=topic.arn,
    policy=topic.arn.apply(
        lambda arn: json.dumps(
            {
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Sid": "OwnerPublishes",
                        "Effect": "Allow",
                        "Principal": {"AWS": "*"},
                        "Action": ["SNS:Publish", "SNS:Subscribe"],
                        "Resource": arn,
                        "Condition": {"StringEquals": {"AWS:SourceOwner": account}},
                    }
                ],
            }
        )
    ),
    opts=pulumi.ResourceOptions(provider=here),
)

for name, provider in (("billing", here), ("search", there)):
    opts = pulumi.ResourceOptions(provider=provider)
    queue = aws.sqs.Queue(name, message_retention_seconds=345600, opts=opts)
    aws.sqs.QueuePolicy(
        name,
        queue_url=queue.url,
        policy=pulumi.Output.json_dumps(
            {
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Effect": "Allow",
                        "Principal": {"Service": "sns.amazonaws.com"},
                        "Action": "sqs:SendMessage",
                        "Resource": queue.arn,
                        "Condition": {"ArnEquals": {"aws:SourceArn": topic.arn}},
                    }
                ],
            }
        ),
        opts=opts,
    )
    aws.sns.TopicSubscription(
        name,
        topic=topic.arn,
        protocol="sqs",
        endpoint=queue.arn,
        raw_message_delivery=True,
        filter_policy=json.dumps({"kind": ["created", "cancelled"]}),
        opts=pulumi.ResourceOptions(provider=here),
    )
aws.sns.TopicSubscription(
    "on-call", topic=topic.arn, protocol="email", endpoint="oncall@example.com", opts=pulumi.ResourceOptions(provider=here)
)

pulumi.export("topic", topic.arn)
