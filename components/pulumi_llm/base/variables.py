"""The names of a function's environment variables, as Lambda takes them."""

import re

# https://docs.aws.amazon.com/lambda/latest/api/API_Environment.html
_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9_]+")
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime
_RESERVED = (
    *("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_EXECUTION_ENV", "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR"),
    *("AWS_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
    *("AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_VERSION"),
    *("AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME", "AWS_LAMBDA_INITIALIZATION_TYPE", "AWS_LAMBDA_RUNTIME_API"),
)


def variable_name(name: str) -> str:
    """Check a variable's name.

    Raises:
        ValueError: says why Lambda does not take it.
    """
    if _NAME.fullmatch(name) is None:
        described = "a variable's name: letters, digits and '_', a letter first, at least two"
        raise ValueError(f"{name!r} is not of the form of {described}")
    if name in _RESERVED:
        raise kept(name)
    return name


def kept(name: str) -> ValueError:
    return ValueError(f"{name!r} is a name that Lambda keeps for itself; give another name")
