"""One stack in two Regions and two accounts, by providers that are given, inherited, and the default one."""

import pulumi
import pulumi_aws as aws

import pulumi_llm

ireland = aws.Provider("ireland", region="eu-west-1", default_tags={"tags": {"CostCentre": "77"}})
deploys_there = aws.ProviderAssumeRoleArgs(role_arn="arn:aws:iam::222222222222:role/deploy")
other_account = aws.Provider("tokyo", region="ap-northeast-1", assume_roles=[deploys_there])
CHAT: pulumi_llm.ServerlessBedrockApiArgs = {
    "models": ["gpt-oss-20b", {"name": "best", "model": "claude-haiku-5-5"}],
    "deletion_protection": False,
}
BUDGET: pulumi_llm.ObservabilityArgs = {"budget": {"monthly_usd": 5, "emails": ["ops@example.com"]}}


class Team(pulumi.ComponentResource):
    """A component of the importer's own, whose provider its children inherit."""

    def __init__(self, name: str, opts: pulumi.ResourceOptions) -> None:
        super().__init__("acme:index:Team", name, {}, opts)
        inherited = pulumi.ResourceOptions(parent=self)
        self.chat = pulumi_llm.ServerlessBedrockApi(f"{name}-chat", CHAT, inherited)
        pulumi_llm.Observability(f"{name}-watch", BUDGET, inherited)
        self.register_outputs({"url": self.chat.url})


chats = {
    "eu-west-1 123456789012": [
        pulumi_llm.ServerlessBedrockApi("given", {**CHAT, "tracing": True}, pulumi.ResourceOptions(provider=ireland)),
        Team("in-a-list", pulumi.ResourceOptions(providers=[ireland])).chat,
    ],
    "ap-northeast-1 222222222222": [
        pulumi_llm.ServerlessBedrockApi("in-a-map", CHAT, pulumi.ResourceOptions(providers={"aws": other_account})),
        Team("team", pulumi.ResourceOptions(providers={"aws": other_account})).chat,
    ],
    "us-east-1 123456789012": [pulumi_llm.ServerlessBedrockApi("default", CHAT)],
}
pulumi_llm.AccountBaseline(
    "account",
    {"github_oidc": True, "bedrock_invocation_logs": True},
    pulumi.ResourceOptions(provider=other_account),
)
for place, made in chats.items():
    pulumi.export(place, [[chat.function_arn, chat.stage_arn, chat.execution_arn, chat.url] for chat in made])
