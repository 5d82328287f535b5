"""The ids of answers: the request's id, behind what each format puts before it."""

CHAT_COMPLETION = "chatcmpl-"
COMPLETION = "cmpl-"
RESPONSE = "resp_"
MESSAGE = "msg_"
PREFIXES = (CHAT_COMPLETION, COMPLETION, RESPONSE, MESSAGE)


def request_id(id: str) -> str:
    """Return the request's id from the id of an answer, and any other text as it is."""
    for prefix in PREFIXES:
        if id.startswith(prefix):
            return id.removeprefix(prefix)
    return id
