"""What a secret looks like: by its own form, by the name that it has, and within a text such as a script."""

import base64
import binascii
import gzip
import json
import re
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

from llm_policies.values import Value, each

_NAMED: Final = "a value in plain text"


def secrets_in(value: Value, name: str = "") -> Iterator[str]:
    """Yield a line for each secret in a value, which may be a text, a map, a list of pairs, or JSON, with `name` if it has one.

    The secret itself is never shown: a message goes to logs, and to whoever reads the run. Raises `NotVerified` at the end if
    a part of the value is unknown.
    """
    data = value.plain
    if isinstance(data, Mapping):
        yield from _in_map(value)
    elif isinstance(data, list):
        yield from _in_list(value, name)
    elif isinstance(data, str):
        yield from _in_text(value, data, name)
    elif isinstance(data, (int, float)) and not isinstance(data, bool) and _is_password(_words(name)):
        yield _told(value, name, _NAMED)


def _in_map(value: Value) -> Iterator[str]:
    entries = value.entries()
    for name, held in _PAIR:
        if name in entries and held in entries and isinstance(entries[name].data, str):
            if entries.get("type", Value(None)).data not in _STORES:
                yield from secrets_in(entries[held], entries[name].text())
            entries = {key: entry for key, entry in entries.items() if key not in (name, held)}
    yield from each(
        ((key, entry) for key, entry in entries.items() if key not in _REFERRING), lambda one: secrets_in(one[1], one[0])
    )


def _in_list(value: Value, name: str) -> Iterator[str]:
    items = value.items()
    texts = [item.data if isinstance(item.data, str) else "" for item in items]

    def argument(index: int) -> Iterator[str]:
        flag = texts[index - 1] if index and texts[index - 1].startswith("-") and "=" not in texts[index - 1] else ""
        yield from secrets_in(items[index], flag if flag and not texts[index].startswith("-") else name)

    yield from each(range(len(items)), argument)


def _in_text(value: Value, text: str, name: str) -> Iterator[str]:
    text = _decoded(text)
    if text.lstrip()[:1] in ("{", "["):
        try:
            inner: Any = json.loads(text)
        except (ValueError, RecursionError):
            inner = None
        if isinstance(inner, (dict, list)):
            yield from secrets_in(Value(inner, value.path, value.origin))
            return
    if kind := _shape(text, name):
        yield _told(value, name, kind)
    elif name and is_secret(name, text):
        yield _told(value, name, _NAMED)
    elif found := _assigned(text):
        yield f"{value.path}: {found} holds {_NAMED}"


def _told(value: Value, name: str, kind: str) -> str:
    last = value.path.rpartition(".")[2]
    return f"{value.path}{'' if not name or last == name else f' ({name})'} holds {kind}"


# How a name and its value are written as a pair; what refers to a secret; and where such a pair's value is another's name.
_PAIR: Final = (("name", "value"), ("Name", "Value"), ("key", "value"), ("Key", "Value"))
_STORES: Final = frozenset({"PARAMETER_STORE", "SECRETS_MANAGER"})
_REFERRING: Final = frozenset(
    {"secrets", "secretOptions", "valueFrom", "secretRef", "secretKeyRef", "repositoryCredentials", "credentialsParameter"}
)


def _decoded(text: str) -> str:
    """The text that a base64 text stands for, compressed or not; the text itself if it is none."""
    if len(text) < 16 or not _BASE64.fullmatch(text):
        return text
    try:
        data = base64.b64decode(text, validate=False)
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
        decoded = data.decode()
    except (binascii.Error, UnicodeDecodeError, OSError, EOFError, zlib.error):
        return text
    return (
        decoded if any(space in decoded for space in "\n ") and all(c.isprintable() or c in "\r\n\t" for c in decoded) else text
    )


_BASE64: Final = re.compile(r"[A-Za-z0-9+/\s]+={0,2}\s*")

# By the form of the value


def _shape(text: str, name: str) -> str:
    public = name.upper().startswith(_PUBLIC)
    for kind, shape in _SHAPES.items():
        if shape.search(text) and not (public and kind in _MAY_BE_PUBLIC):
            return kind
    if _words(name)[-1:] in (["AUTHORIZATION"], ["AUTH"]) and _CREDENTIALS.fullmatch(text.strip("'\" ")):
        return "an Authorization header"
    return ""


# Each is the form that the issuer documents, or that GitHub's secret scanning knows:
# https://docs.github.com/en/code-security/secret-scanning/introduction/supported-secret-scanning-patterns
_SHAPES: Final = {
    "an AWS access key": re.compile(r"\b(AKIA|ASIA)[0-9A-Z]{16}\b"),
    "a Bedrock API key": re.compile(r"\b(ABSK[A-Za-z0-9+/=]{40,}|bedrock-api-key-[A-Za-z0-9+/=]{20,})"),
    "an API key of a model's provider": re.compile(
        r"(?<![\w-])(sk-(proj|svcacct|admin|ant|or|lf)-[A-Za-z0-9_-]{16,}|sk-[A-Za-z0-9]{20,}|sk-(?=[A-Za-z_-]*\d)[A-Za-z0-9_-]{32,}"
        r"|gsk_[A-Za-z0-9]{20,}|r8_[A-Za-z0-9]{20,}|xai-[A-Za-z0-9]{20,}|nvapi-[A-Za-z0-9_-]{20,}|pplx-[A-Za-z0-9]{20,}"
        r"|csk-[a-z0-9]{20,}|fw_[A-Za-z0-9]{20,}|pcsk_[A-Za-z0-9_]{20,}|lsv2_(pt|sk)_[a-z0-9_]{20,}|tvly-[A-Za-z0-9-]{20,})"
    ),
    "a Hugging Face token": re.compile(r"\b(hf|api_org)_[A-Za-z0-9]{20,}"),
    "a GitHub token": re.compile(r"\b(gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,})"),
    "a GitLab token": re.compile(r"\bgl(pat|dt|rt|cbt)-[A-Za-z0-9_-]{20,}"),
    "a Slack token": re.compile(r"\b(xox[abeprs]|xapp)-[A-Za-z0-9-]{10,}"),
    "a webhook's address, which is a secret": re.compile(
        r"hooks\.slack\.com/(services|workflows)/T[A-Z0-9]+/[A-Z0-9]+/\w+|discord(app)?\.com/api/webhooks/\d+/[\w-]+"
    ),
    "a Google API key": re.compile(r"\bAIza[A-Za-z0-9_-]{35}|\bGOCSPX-[A-Za-z0-9_-]{20,}|\bya29\.[A-Za-z0-9_-]{20,}"),
    "a payment provider's key": re.compile(r"\b([rs]k_(live|test)_[A-Za-z0-9]{10,}|whsec_[A-Za-z0-9+/=]{20,})"),
    "a vendor's token": re.compile(
        r"\b(SG\.[\w-]{16,}\.[\w-]{16,}|npm_[A-Za-z0-9]{30,}|pypi-AgE[\w-]{20,}|hv[sb]\.[\w-]{20,}|dckr_pat_[\w-]{20,}"
        r"|pul-[a-f0-9]{40}|dop_v1_[a-f0-9]{40,}|dp\.(pt|st)\.[\w.-]{20,}|NRAK-[A-Z0-9]{20,}|sntr[yu]s_[\w+/=-]{20,}|lin_api_\w{20,}"
        r"|shp(at|ss|ca|pa)_[a-fA-F0-9]{20,}|dapi[a-f0-9]{32}|sbp_[a-f0-9]{40}|ntn_\w{20,}|AGE-SECRET-KEY-1\w{20,}|SK[0-9a-f]{32})\b"
    ),
    "a private key": re.compile(r"-----BEGIN ([A-Z]+ )*PRIVATE KEY( BLOCK)?-----"),
    "a JSON Web Token": re.compile(r"\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{10,}"),
    "a URL that is signed for whoever has it": re.compile(r"[?&](sig|X-Amz-Signature|X-Goog-Signature)=[A-Za-z0-9%/+=]{20,}"),
    "a URL with a password": re.compile(r"\b[a-z][a-z0-9+.-]*://[^/\s:@\"'$]*:(?![$<{%*])[^/\s@\"'$]+@"),
    "a connection string with a password": re.compile(
        r"(?i)\w\s*=[^=]*[;&?\s](password|pwd|accountkey|sharedaccesskey)\s*=\s*(?![$<{%*`/'\"])[^;&\s\"'$`]{3,}"
    ),
    "a password for chpasswd": re.compile(r"\w:[^\s:'\"$`]+['\"]?\s*\|\s*(sudo\s+)?chpasswd"),
    "a password for docker login": re.compile(r"\bdocker\s+login\b[^\n|;&]*\s(-p|--password)[ =]['\"]?(?![$`'\"])\S+"),
    "a password for curl": re.compile(r"\bcurl\b[^\n|;&]*\s(-u|--user)[ =]?['\"]?[\w.@-]+:(?![$`'\"])[^\s'\"$]{3,}"),
    "an Authorization header": re.compile(
        r"(?i)\bauthorization[\"']?\s*[:=]\s*[\"']?(bearer|basic|token)\s+(?![$<{%\"'`\\])[A-Za-z0-9+/=._~-]{8,}"
    ),
}
_CREDENTIALS: Final = re.compile(r"(?i)(bearer|basic|token|apikey)\s+[A-Za-z0-9+/=._~-]{8,}")
# What a build puts into pages that anyone reads is no secret.
_PUBLIC: Final = ("NEXT_PUBLIC_", "REACT_APP_", "VITE_", "NUXT_PUBLIC_", "EXPO_PUBLIC_", "PUBLIC_")
_MAY_BE_PUBLIC: Final = frozenset({"a Google API key", "a JSON Web Token"})

# By its name


def is_secret(name: str, text: str) -> bool:
    """Whether a text under such a name is a secret, rather than a reference to one, a flag or a number.

    Decided by the last words of the name: SECRET_ARN, TOKEN_LIMIT and PASSWORD_RESET_PAGE are no secrets.
    """
    words = _words(name)
    if not words or name.lstrip("-").upper().startswith(_PUBLIC):
        return False
    text = text.strip().strip("'\"")
    if not text or any(shape.fullmatch(text) for shape in _REFERENCES) or text.startswith(_PUBLIC_KEYS):
        return False
    last, before = words[-1], words[-2] if len(words) > 1 else ""
    if _is_password(words):
        return True
    if _NUMBER.fullmatch(text):
        return False
    if last.endswith("TOKEN"):
        return last != "TOKEN" or before not in _NO_TOKENS
    if last.endswith(_ENDS):
        return not (last == "SECRET" and before in _NO_SECRETS) and not (words == ["SECRET"] and _is_word(text))
    if last in _WORDS or _PAIRS.search(" ".join(words)):
        return not (_UUID.fullmatch(text) and before in ("ENCRYPTION", "MASTER"))
    if last == "KEY":
        return bool(before) and before not in _NO_KEYS and not (_is_word(text) and len(text) < 16)
    return last in _WEAK and len(text) >= 8 and any(c.isdigit() for c in text) and any(c.isalpha() for c in text)


def _words(name: str) -> list[str]:
    words = [word for word in re.split(r"[^A-Z0-9]+", re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).upper()) if word]
    while words and (words[-1].isdigit() or words[-1] in _SUFFIXES):
        words.pop()
    return words


def _is_password(words: list[str]) -> bool:
    if not words:
        return False
    return (
        words[-1].endswith(("PASSWORD", "PASSWD", "PASSPHRASE", "PASSCODE"))
        or words[-1] == "PASS"
        or (words[-1] == "PWD" and len(words) > 1)
    )


def _is_word(text: str) -> bool:
    return re.fullmatch(r"[A-Za-z]+([_-][A-Za-z]+)*", text) is not None


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_SUFFIXES: Final = _names(
    "VALUE STRING TEXT PLAINTEXT B64 BASE64 PROD PRODUCTION DEV STAGING TEST LIVE PRIMARY SECONDARY OLD NEW CURRENT PREVIOUS"
)
_WORDS: Final = _names("SECRETS CREDENTIAL CREDENTIALS CREDS TOKEN")
_ENDS: Final = ("SECRET", "APIKEY", "SECRETKEY", "ACCESSKEY", "PRIVATEKEY")
_PAIRS: Final = re.compile(r"\b(API|ACCESS|PRIVATE|SIGNING|ENCRYPTION|MASTER|SERVICE|SECRET|AUTH) KEYS?$")
# Words that may name a secret, if the value is one that nobody reads.
_WEAK: Final = _names("AUTH SALT PEPPER PAT BEARER")
# The tokens of a model's vocabulary, of forms and of pages; keys that say where something is; secrets that are another's name.
_NO_TOKENS: Final = _names(
    "EOS BOS PAD UNK SEP CLS MASK STOP START END BEGIN SPECIAL IMAGE AUDIO VIDEO TOOL THINK THINKING PREFIX SUFFIX MIDDLE "
    "FIM EOT EOM CSRF XSRF NEXT PAGE PAGINATION CONTINUATION IDEMPOTENCY REQUEST TASK CANCELLATION DELIMITER"
)
_NO_KEYS: Final = _names(
    "PARTITION SORT HASH RANGE PRIMARY FOREIGN CACHE OBJECT S3 PUBLIC PUBLISHABLE KMS CMK ROUTING IDEMPOTENCY TAG METRIC "
    "INDEX TABLE GROUP LOOKUP SITE DEDUPLICATION CONFIG FLAG FEATURE CONTEXT HEADER LOG MESSAGE EVENT RECORD TRACE LABEL "
    "ANNOTATION ROW SEARCH DOCUMENT FILE ITEM ENTITY STATE LOCK QUEUE STREAM UPLOAD DOWNLOAD BUCKET PREFIX OUTPUT INPUT "
    "MODEL ARTIFACT MANIFEST ATTRIBUTE FIELD COLUMN TENANT SHARD TOPOLOGY SELECTOR AFFINITY TAINT TOLERATION DATA SOURCE "
    "RESULT RESPONSE JSON DEAD COMPOSITE"
)
_NO_SECRETS: Final = _names("EXISTING PULL TLS CERT CERTIFICATE")
_NUMBER: Final = re.compile(r"[0-9.]+[a-z]?")
_UUID: Final = re.compile(r"(mrk-)?[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}")
_PUBLIC_KEYS: Final = (
    "ssh-",
    "ecdsa-",
    "-----BEGIN PUBLIC",
    "-----BEGIN RSA PUBLIC",
    "-----BEGIN CERTIFICATE",
    "pk_live_",
    "pk_test_",
)
# Whether a value is a flag, or says where the secret is stored.
_REFERENCES: Final = tuple(
    re.compile(shape, re.DOTALL)
    for shape in (
        r"(?i)true|false|read|write|none|null|on|off|yes|no|enabled|disabled|required|optional|empty|dummy|unused|placeholder|not-?needed",
        r"arn:[a-z-]+:.+|alias/.+",
        r"\{\{.+\}\}|\$.+|\{%.+%\}|<[^<>]*>|<\|.+\|>|</?\w+>|\[\w+\]|%\w+%|#+|States\..+",
        r"(ssm|secretsmanager|vault|op|kms|file|env|os\.environ|aws-sm|gcp-sm)[:/].+",
        r"(method\.request|integration\.request|context|stageVariables|process\.env|os\.environ|request|event)\..+",
        r"[A-Z]+(_[A-Z0-9]+)+",  # another variable's name
        r"/?[a-z][a-z0-9_.-]*(/[a-z0-9_.-]+)+",  # a parameter's or a secret's name: prod/chat/key
        r"/[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*",
        r"https?://[^@]+",
    )
)

# Within a text


def _assigned(text: str) -> str:
    """The name to which a script or a file of settings assigns a secret; empty if there is none."""
    if not any(mark in text for mark in ("=", ":", "--")):
        return ""
    program = _PROGRAM.search(text) is not None
    for line in _lines(text):
        for shape in _ASSIGNMENTS:
            for found in shape.finditer(line):
                name, value = found["name"], found["value"].rstrip(",;")
                if not value or (value[0] not in "\"'" and (program or _EXPRESSION.search(value) or value.startswith("-"))):
                    continue
                if any(mark in value for mark in ("$", "`")):
                    continue
                if is_secret(name, value):
                    return name
    return ""


def _lines(text: str) -> Iterator[str]:
    """The lines of a text, without comments, and without a build specification's blocks that name secrets."""
    skipped = -1
    for line in text.splitlines():
        stripped = line.lstrip()
        indent = len(line) - len(stripped)
        if not stripped or stripped.startswith(("#", "//")):
            continue
        if 0 <= skipped < indent:
            continue
        skipped = indent if stripped.rstrip() in ("secrets-manager:", "parameter-store:") else -1
        yield line


_QUOTED: Final = r"\"[^\"\n]*\"|'[^'\n]*'"
_ASSIGNMENTS: Final = (
    re.compile(rf"(?<![\w$.-])(?P<name>[A-Za-z_][\w.-]*)[\"']?\s?:?=\s?(?P<value>{_QUOTED}|[^\s\"'`;&|,)]+)"),
    re.compile(rf"(?<=\$env:)(?P<name>\w+)\s*=\s*(?P<value>{_QUOTED})"),
    re.compile(rf"(?<![\w-])(?P<name>--[A-Za-z][\w-]*)[= ]\s*(?P<value>{_QUOTED}|[^\s\"'`;&|]+)"),
    re.compile(rf"^\s*(?:-\s+)?[\"']?(?P<name>[A-Za-z_][\w.-]*)[\"']?:\s+(?P<value>{_QUOTED}|\S+)\s*(?:,|#.*)?$"),
    re.compile(rf"[\"'](?P<name>[A-Za-z_][\w.-]*)[\"']\s*:\s*(?P<value>{_QUOTED})"),
)
# A program in JavaScript or Python, where a text stands in quotes; and an expression, which is no value.
_PROGRAM: Final = re.compile(
    r"(?m)^\s*(const|let|function|import|from|def|class|interface|export (const|function|type|default)) "
)
_EXPRESSION: Final = re.compile(r"[(\[{]|^[A-Za-z_]+(\.[A-Za-z_]\w*)+;?$")
