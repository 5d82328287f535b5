"""A guardrail on the wire: the local run's, or one that fails."""

from collections.abc import Callable
from typing import Any

from pulumi_llm_local.upstreams.bedrock.guardrails import GuardrailRules, assess
from wire.http import Fake, Peer, response

ARN = "arn:aws:bedrock:us-east-1:123456789012:guardrail/abcdefghijkl"
VERSION = "3"
PATH = f"/guardrail/{ARN.replace(':', '%3A').replace('/', '%2F')}/version/{VERSION}/apply"

# In the words of CreateGuardrail.
SETTINGS: dict[str, Any] = {
    "blockedInputMessaging": "No.",
    "blockedOutputsMessaging": "No.",
    "topicPolicyConfig": {
        "topicsConfigs": [
            {"name": "Investments", "definition": "d", "type": "DENY", "examples": ["Which shares should I buy?"]}
        ]
    },
    "contentPolicyConfig": {
        "filtersConfigs": [
            {"type": "VIOLENCE", "inputStrength": "HIGH", "outputStrength": "HIGH"},
            {"type": "PROMPT_ATTACK", "inputStrength": "HIGH", "outputStrength": "NONE"},
        ]
    },
    "wordPolicyConfig": {"wordsConfigs": [{"text": "Voldemort"}], "managedWordListsConfigs": [{"type": "PROFANITY"}]},
    "sensitiveInformationPolicyConfig": {
        "piiEntitiesConfigs": [
            {"type": "EMAIL", "action": "ANONYMIZE", "inputAction": "ANONYMIZE"},
            {"type": "US_SOCIAL_SECURITY_NUMBER", "action": "BLOCK", "inputAction": "BLOCK"},
            {"type": "PHONE", "action": "NONE", "inputAction": "NONE"},
            {"type": "MAC_ADDRESS", "action": "BLOCK"},
        ],
        "regexesConfigs": [{"name": "ticket", "pattern": r"TICKET-\d{4}", "action": "ANONYMIZE", "inputAction": "ANONYMIZE"}],
    },
}


class GuardrailUpstream(Fake):
    """ApplyGuardrail with the rules of `SETTINGS`. `replies` are what its first requests are answered with instead."""

    def __init__(self, *replies: bytes | Callable[[Any], bytes]) -> None:
        super().__init__(self._serve)
        self._replies = list(replies)

    async def _serve(self, peer: Peer) -> None:
        while True:
            body = await peer.request()
            if self._replies:
                reply = self._replies.pop(0) if len(self._replies) > 1 else self._replies[0]
                await peer.send(reply if isinstance(reply, bytes) else reply(body))
            else:
                texts = [block["text"]["text"] for block in body["content"]]
                await peer.send(response(200, assess(GuardrailRules(SETTINGS), body["source"], texts)))

    def texts(self, source: str) -> list[str]:
        """All texts that were to be checked."""
        return [block["text"]["text"] for body in self.bodies if body["source"] == source for block in body["content"]]


def refusal(status: int, name: str, message: str = "no") -> bytes:
    return response(status, {"message": message}, x_amzn_ErrorType=name)
