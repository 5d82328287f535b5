"""A chat API whose requests are traced: in X-Ray, or at the receiver of OpenTelemetry's that the configuration names."""

import pulumi

import pulumi_llm

config = pulumi.Config()
endpoint, secret_arn = config.get("otlp_endpoint"), config.get("otlp_secret_arn")

args: pulumi_llm.ServerlessBedrockApiArgs = {
    "models": [{"name": "fast", "model": "gpt-oss-20b"}],
    "tracing": endpoint is None,
    "access_logs": False,
    "tags": {"Project": pulumi.get_project(), "Environment": pulumi.get_stack()},
}
if endpoint is not None:
    # Metrics go there, too. Prompts and answers do not, unless "content" says so.
    args["otlp"] = {"endpoint": endpoint, "sample_ratio": 0.5}
    if secret_arn is not None:
        args["otlp"]["secret_arn"] = secret_arn

api = pulumi_llm.ServerlessBedrockApi("chat", args)

pulumi.export("api_gateway_url", api.url)
pulumi.export("api_keys", api.api_keys)
