"""One chat API with two providers: Bedrock and DeepSeek's own API, whose key is a secret of this stack."""

import pulumi
import pulumi_aws as aws

import pulumi_llm

tags = {"Project": pulumi.get_project(), "Environment": pulumi.get_stack()}

# The secret alone: its value is put in by hand, and never in a program or a state.
key = aws.secretsmanager.Secret("deepseek-key", description="DeepSeek's API key", tags=tags)

api = pulumi_llm.ServerlessBedrockApi(
    "chat",
    {
        "providers": {
            "deepseek": {
                "type": "openai_compatible",
                "base_url": "https://api.deepseek.com",
                "secret_arn": key.arn,
            },
        },
        "models": [
            # DeepSeek on Bedrock; where that fails, at DeepSeek's.
            {
                "name": "chat",
                "targets": [
                    {"model": "deepseek-v3-2"},
                    {
                        "provider": "deepseek",
                        "model": "deepseek-chat",
                        "context_tokens": 128_000,
                        "max_output_tokens": 8_192,
                    },
                ],
                "first_token_seconds": 10,
            },
            # One request of ten to the model that is being tried out.
            {
                "name": "canary",
                "strategy": "weight",
                "targets": [
                    {"model": "gpt-oss-20b", "weight": 9},
                    {"model": "gpt-oss-120b", "weight": 1},
                ],
            },
        ],
        # They need API Gateway's log role in the Region: examples/serverless_bedrock_api makes it.
        "access_logs": False,
        "tags": tags,
    },
)

pulumi.export("api_gateway_url", api.url)
pulumi.export("api_keys", api.api_keys)
pulumi.export("deepseek_key_arn", key.arn)
