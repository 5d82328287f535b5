"""A chat API that is checked: filters of prompts, and a guardrail on prompts and answers, of models on Bedrock or elsewhere."""

import pulumi

import pulumi_llm

tags = {"Project": pulumi.get_project(), "Environment": pulumi.get_stack()}

api = pulumi_llm.ServerlessBedrockApi(
    "chat",
    {
        "models": [{"name": "fast", "model": "gpt-oss-20b"}],
        "safety": {
            "length": {"max_characters": 100_000},
            "control_characters": {"mode": "mask"},
            # It also finds texts that talk about injections, so it only logs them at first.
            "injection": {"mode": "shadow", "patterns": {"codename": r"project (?:blue|red)"}},
            "pii": {"credit_card": "mask", "iban": "mask", "us_ssn": "block"},
            "guardrail": {
                "content": {"VIOLENCE": "HIGH", "HATE": "HIGH", "PROMPT_ATTACK": "HIGH"},
                "topics": [
                    {
                        "name": "Investments",
                        "definition": "Advice on which shares, funds or currencies to buy or sell.",
                        "examples": ["Which shares should I buy?"],
                    }
                ],
                "words": ["Voldemort"],
                "profanity": True,
                "pii": {"EMAIL": "ANONYMIZE", "PASSWORD": "BLOCK"},
                # Text leaves a stream sooner, and a check costs as much as one of 1,000 characters.
                "window_characters": 500,
            },
        },
        "access_logs": False,
        "tags": tags,
    },
)

pulumi.export("api_gateway_url", api.url)
pulumi.export("api_keys", api.api_keys)
pulumi.export("guardrail_arn", api.guardrail_arn)
pulumi.export("guardrail_version", api.guardrail_version)
