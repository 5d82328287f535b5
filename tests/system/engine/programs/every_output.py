"""An Output wherever an argument takes one: unknown at a preview, or a secret."""

import json

import pulumi
import pulumi_aws as aws

import pulumi_llm

secret = pulumi.Config().get_bool("secret")
queue = aws.sqs.Queue("queue")


def output(value):
    """The value, as an Output that is not known at the first preview, or as a secret."""
    return pulumi.Output.secret(value) if secret else queue.url.apply(lambda _: value)


def statement(**rest):
    return {"Effect": "Allow", "Principal": "*", "Action": "execute-api:Invoke", "Resource": "execute-api:/*", **rest}


trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
topic, key = aws.sns.Topic("topic"), aws.kms.Key("key")
provider_key = aws.secretsmanager.Secret("provider-key")
vpc = aws.ec2.Vpc("vpc", cidr_block="10.0.0.0/16")
subnets = [aws.ec2.Subnet(f"subnet-{i}", vpc_id=vpc.id, cidr_block=f"10.0.{i}.0/24") for i in range(2)]
group = aws.ec2.SecurityGroup("group", vpc_id=vpc.id)
zone = aws.route53.Zone("zone", name="example.com")
certificate = aws.acm.Certificate("certificate", domain_name="api.example.com", validation_method="DNS")
role = aws.iam.Role("role", assume_role_policy=json.dumps({"Version": "2012-10-17", "Statement": [trust]}))
archive = pulumi.FileArchive(pulumi.Config().require("archive"))
orders = aws.lambda_.Function("orders", role=role.arn, runtime="python3.13", handler="index.handler", code=archive)
adapter = aws.lambda_.LayerVersion("adapter", layer_name="adapter", code=archive)
bucket, destination = aws.s3.Bucket("bucket"), aws.cloudwatch.LogGroup("destination")
reads = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": bucket.arn.apply(lambda arn: f"{arn}/*")}
managed = aws.iam.Policy("managed", policy=pulumi.Output.json_dumps({"Version": "2012-10-17", "Statement": [reads]}))
profile = aws.bedrock.InferenceProfile(
    "profile", model_source={"copy_from": "arn:aws:bedrock:us-east-1::foundation-model/openai.gpt-oss-20b-1:0"}
)

pulumi_llm.AccountBaseline(
    "account",
    {
        "bedrock_invocation_logs": True,
        "kms_key_arn": key.arn,
        "cost_anomalies": {"emails": [output("ops@example.com")], "topic_arn": topic.arn, "minimum_usd": output(12.5)},
        "tags": {"Team": output("search")},
    },
)
pulumi_llm.Observability(
    "watch",
    {
        "budget": {
            "monthly_usd": output(10),
            "emails": [output("ops@example.com")],
            "topic_arn": topic.arn,
            "cost_tag": {"key": "App", "value": output("chat")},
        },
        "tags": {"Team": output("search")},
    },
)
served = {"provider": "vllm", "model": "own", "context_tokens": 1_000, "max_output_tokens": 100}
chat = pulumi_llm.ServerlessBedrockApi(
    "chat",
    {
        "models": [
            {"name": "profile", "model": profile.arn, "base_model": "gpt-oss-20b"},
            {"name": "both", "targets": [{"model": profile.arn, "base_model": "gpt-oss-20b"}, served]},
        ],
        "providers": {
            "vllm": {
                "type": "openai_compatible",
                "base_url": output("https://vllm.example.com/v1"),
                "secret_arn": provider_key.arn,
                "kms_key_arn": key.arn,
                "wake_queue": {"url": queue.url, "arn": queue.arn, "kms_key_arn": key.arn},
            }
        },
        "keys": [{"name": "web", "value": output("hunter2-hunter2-hunter2-hunter2")}],
        "daily_quota": output(55),
        "cors_allow_origin": [output("https://a.example.com"), "https://b.example.com"],
        "memory_mb": output(1024),
        "log_retention_days": output(60),
        "reserved_concurrency": output(300),
        "vpc": {"subnet_ids": [subnet.id for subnet in subnets], "security_group_ids": pulumi.Output.all(group.id)},
        "policies": {"managed": {"reads": managed.arn}, "inline": {"reads": [reads]}},
        "environment": {"QUEUE_URL": queue.url, "MODE": output("all")},
        "kms_key_arn": key.arn,
        "resource_policy": {"Version": "2012-10-17", "Statement": [statement(Principal={"AWS": role.arn})]},
        "routes": [
            {"method": "GET", "path": "/orders/{id}", "function_arn": orders.arn},
            {"method": "POST", "path": "/files/{id}", "url": output("https://files.example.com/{id}")},
        ],
        "domain": {
            "name": output("api.example.com"),
            "base_path": output("llm"),
            "certificate_arn": certificate.arn,
            "zone_id": zone.zone_id,
        },
        "access_log_destination_arn": destination.arn,
        "web_adapter_layer_arn": adapter.arn,
        "customize": {"function": {"memory_size": output(2048)}, "logs": {"tags": {"Own": output("x")}}},
        "tags": {"Team": output("search")},
        "deletion_protection": False,
        "parameter_prefix": "/llm/test",
    },
)
pulumi_llm.ServerlessBedrockApi(
    "private",
    {
        "models": ["gpt-oss-20b"],
        "endpoint": "private",
        "vpc_endpoint_ids": [output("vpce-0123456789abcdef0")],
        "cors_allow_origin": output(["https://a.example.com", "https://c.example.com"]),
        "vpc": {"subnet_ids": output(["subnet-0123456789abcdef0"]), "security_group_ids": [group.id]},
        "deletion_protection": False,
    },
)
pulumi_llm.ServerlessBedrockApi(
    "signed",
    {
        "models": ["gpt-oss-20b"],
        "auth": "iam",
        "resource_policy": output(json.dumps({"Version": "2012-10-17", "Statement": [statement()]})),
        "cors_allow_origin": output("https://one.example.com"),
        "deletion_protection": False,
    },
)
pulumi.export("url", chat.url)
pulumi.export("keys", chat.api_keys)
