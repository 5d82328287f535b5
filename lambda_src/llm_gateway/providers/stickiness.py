"""The cookies by which a load balancer keeps a conversation at the server that has its beginning in its prefix cache."""

import hashlib
import re

import msgspec

from llm_gateway.call import ModelCall

# How many conversations are remembered. A conversation has some 300 bytes of cookies.
MOST_CONVERSATIONS = 4096
# How many cookies of one are, and how long: a server that has gone wrong fills neither the memory nor the request's headers.
_MOST_COOKIES = 8
_MOST_VALUE = 1024

_encode = msgspec.json.Encoder().encode


class Stickiness:
    """Remembers the cookies of the latest conversations, in this process only.

    `cookie` is the name of the cookie that the servers set. An Application Load Balancer adds one of its own, AWSALBAPP, and
    keeps the conversation at its server only where both come back. Where it forwards to several target groups by weight, it
    keeps the group by a third one, AWSALBTG. They end by the load balancer's own time, which is in them.
    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/sticky-sessions.html
    """

    def __init__(self, cookie: str) -> None:
        # The values of several Set-Cookie headers are joined by ", ", which is in no cookie's name or value.
        self._cookies = re.compile(rf"(?:^|, )({re.escape(cookie)}|AWSALBAPP-\d+|AWSALBTG)=([^;,\s]*)")
        self._known: dict[bytes, dict[str, str]] = {}

    def cookie(self, call: ModelCall) -> str:
        """Return the Cookie header of a call, empty if there is none.

        The first turn of a conversation has none, so that the load balancer chooses freely even where all begin alike.
        """
        if all(message.role != "assistant" for message in call.messages):
            return ""
        cookies = self._known.get(_conversation(call), {})
        return "; ".join(f"{name}={value}" for name, value in cookies.items())

    def remember(self, call: ModelCall, set_cookie: str) -> None:
        """Remember what the answer to a call sets. `set_cookie` are its Set-Cookie headers."""
        cookies = {name: value for name, value in self._cookies.findall(set_cookie) if len(value) <= _MOST_VALUE}
        if not cookies:
            return
        conversation = _conversation(call)
        known = self._known.pop(conversation, {})
        latest = [each for each in known.items() if each[0] not in cookies] + list(cookies.items())
        self._known[conversation] = dict(latest[-_MOST_COOKIES:])
        if len(self._known) > MOST_CONVERSATIONS:
            del self._known[next(iter(self._known))]


def _conversation(call: ModelCall) -> bytes:
    """Return what the turns of a conversation share: who talks, and what was said before the model's first answer."""
    beginning: list[str] = []
    for message in call.messages:
        if message.role == "assistant":
            break
        beginning.append(message.text)
    parts = [call.caller.tenant, call.caller.key, call.system, *beginning]
    return hashlib.blake2b(_encode(parts), digest_size=16).digest()
