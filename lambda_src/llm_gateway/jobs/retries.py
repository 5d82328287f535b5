"""What is run again after an error: a job, or a line of a batch."""

from llm_gateway.errors import GatewayError


def is_postponed(error: GatewayError) -> bool:
    """Whether a run that ends so is no try: what it needs is used up, switched off, or not there, and nothing was paid for it.

    A try that costs is counted: nothing else would end a job, or a line, whose answer is paid for again and again.
    """
    return error.status in (429, 503) and not error.spent


def may_pass(error: GatewayError, longest_wait: float) -> bool:
    """Whether what ends with this error is run again. What is switched off, or used up, comes back at a known time: that must
    be within `longest_wait` seconds."""
    if error.status != 429 and error.status < 500:
        return False
    return error.retry_after <= longest_wait if error.retry_after is not None else not error.lasts
