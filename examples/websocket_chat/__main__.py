"""A chat API over WebSockets beside the REST API, with the same models and the same keys."""

import pulumi

import pulumi_llm

tags = {"Project": pulumi.get_project(), "Environment": pulumi.get_stack()}
models = [{"name": "fast", "model": "gpt-oss-20b"}]
# Of each caller, over both APIs together.
limits = {"tokens": {"day": 1_000_000}, "calls_in_flight": 5}

api = pulumi_llm.ServerlessBedrockApi(
    "chat", {"models": models, "limits": limits, "websocket_tickets": True, "access_logs": False, "tags": tags}
)

live = pulumi_llm.WebSocketChat(
    "live",
    {
        "models": models,
        # Without it, the WebSocket API has keys of its own: the output `api_keys`.
        "keys_table": {"name": api.keys_table_name, "arn": api.keys_table_arn},
        # Browsers connect with a ticket that your server asks the REST API for, and never have the key.
        "tickets_table": {"name": api.tickets_table_name, "arn": api.tickets_table_arn},
        "limits": limits,
        # The API has none of these. If it had, they would be the same here.
        "rules": [],
        "safety": {},
        "ledger_table": {"name": api.ledger_table_name, "arn": api.ledger_table_arn},
        "generations_per_connection": 2,
        "access_logs": False,
        "tags": tags,
    },
)

pulumi.export("websocket_url", live.websocket_url)
pulumi.export("api_gateway_url", api.url)
pulumi.export("api_key_value", api.default_api_key)
