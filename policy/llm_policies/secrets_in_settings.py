"""The rule on secrets in a function's environment."""

import re
from collections.abc import Iterator
from typing import Final

from llm_policies.rule import Resource, Rule, Settings
from llm_policies.values import Value, each


def _no_secrets(function: Resource, _: Settings) -> Iterator[str]:
    yield from each(function.at("environment.variables").entries().values(), _variable)


def _variable(variable: Value) -> Iterator[str]:
    text = variable.text()  # never shown: a message goes to logs, and to whoever reads the run
    name = variable.path.rpartition(".")[2]
    if kind := next((kind for kind, shape in _SHAPES.items() if shape.search(text)), ""):
        yield f"{variable.path} holds {kind}: keep it in Secrets Manager and give the function its ARN"
    elif _names_a_secret(name) and not _refers(text):
        yield f"{variable.path} holds a value in plain text: keep it in Secrets Manager and give the function its ARN"


_SHAPES: Final = {
    "an AWS access key": re.compile(r"\b(AKIA|ASIA)[0-9A-Z]{16}\b"),
    "a Bedrock API key": re.compile(r"\b(ABSK[A-Za-z0-9+/=]{40,}|bedrock-api-key-[A-Za-z0-9+/=]{20,})"),
    "an API key of a model's provider": re.compile(r"\bsk-[A-Za-z0-9_-]{20,}"),
    "a Hugging Face token": re.compile(r"\bhf_[A-Za-z0-9]{30,}"),
    "a GitHub token": re.compile(r"\b(gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{40,})"),
    "a Slack token": re.compile(r"\bxox[abprs]-[A-Za-z0-9-]{10,}"),
    "a Google API key": re.compile(r"\bAIza[A-Za-z0-9_-]{35}"),
    "a private key": re.compile(r"-----BEGIN ([A-Z]+ )*PRIVATE KEY-----"),
    "a URL with a password": re.compile(r"\b[a-z][a-z0-9+.-]*://[^/\s:@]+:[^/\s@]+@"),
}

_WORDS_TEXT: Final = "SECRET SECRETS PASSWORD PASSWD PASSPHRASE TOKEN APIKEY CREDENTIAL CREDENTIALS"
_WORDS: Final = frozenset(_WORDS_TEXT.split())
_PAIRS: Final = re.compile(r"\b(API|ACCESS|PRIVATE|SIGNING|ENCRYPTION|MASTER|SERVICE) KEYS?$")
_VALUES: Final = frozenset(("VALUE", "STRING", "TEXT", "PLAINTEXT"))
# What a build puts into pages that anyone reads is no secret.
_PUBLIC: Final = ("NEXT_PUBLIC_", "REACT_APP_", "VITE_")


def _names_a_secret(name: str) -> bool:
    """Decided by the last words of the name: SECRET_ARN, TOKEN_LIMIT and PASSWORD_RESET_PAGE are not secrets."""
    words = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).upper().replace("-", "_").split("_")
    while words and (words[-1].isdigit() or words[-1] in _VALUES):
        words.pop()
    if not words or name.upper().startswith(_PUBLIC):
        return False
    return words[-1] in _WORDS or bool(_PAIRS.search(" ".join(words)))


def _refers(text: str) -> bool:
    """Whether a value is empty, a number or a flag, or says where the secret is stored."""
    return not text or any(shape.fullmatch(text) for shape in _REFERENCES)


_REFERENCES: Final = tuple(
    re.compile(shape)
    for shape in (
        r"[0-9.]+[a-z]?",
        r"(?i)true|false|none|null|on|off|yes|no|enabled|disabled",
        r"arn:[a-z-]+:.+",
        r"\{\{resolve:.+\}\}|\$\{.+\}",
        r"(ssm|secretsmanager|vault|op)://?.+",
        r"/?[a-z][a-z0-9_.-]*(/[a-z0-9_.-]+)+",  # a parameter's or a secret's name: prod/chat/key
        r"/[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*",
        r"https?://[^@]+",
    )
)

RULES: Final[tuple[Rule, ...]] = (
    Rule(
        name="lambda-environment-no-secrets",
        title="No secret stands in a function's environment.",
        severity="critical",
        why="Whoever may read the function's configuration reads its environment, and it is kept in every published version.",
        fix="Put the value into Secrets Manager, give the function its ARN, and let its role read it.",
        check=_no_secrets,
        types=("aws:lambda/function:Function",),
        url="https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html",
    ),
)
