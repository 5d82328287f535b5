"""The providers of a configuration: where each is, and where its key stands."""

import re
from typing import Any

import pulumi

from llm_gateway.providers.registry import PROTOCOLS, Protocol
from llm_gateway.routes import BEDROCK, MOCK, Endpoint
from pulumi_llm.routing.values import NAME, NAME_FORM, Reading

# A function's environment, names and values together, and what of it the component's own variables may take.
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
ENVIRONMENT_BYTES = 4_096
OWN_ENVIRONMENT_BYTES = 512

_LOOPBACK = r"127(\.\d{1,3}){3}|localhost|\[::1\]"
_URL = re.compile(r"(?P<scheme>https?)://(?P<host>[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?(?P<path>/[!-~]*)?")
# As the console shows it, with the six characters that Secrets Manager adds: without them IAM does not match it.
# https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_iam-permissions.html
_SECRET = re.compile(r"arn:aws[a-z-]*:secretsmanager:(?P<region>[a-z0-9-]+):\d{12}:secret:(?P<name>[A-Za-z0-9/_+=.@!-]+)")
_WHOLE_NAME = re.compile(r".+-[A-Za-z0-9]{6}")
# A key's own ARN, for IAM does not follow an alias's.
_KEY = re.compile(r"arn:aws[a-z-]*:kms:(?P<region>[a-z0-9-]+):\d{12}:key/[A-Za-z0-9-]+")


class Providers:
    """The providers that were read.

    `protocols` maps a provider's name to its protocol, None where its type is wrong. `environment` holds the variables that the
    function needs for `endpoints`; `secret_arns` and `kms_key_arns` are what it has to read.
    """

    def __init__(self, reading: Reading, given: Any, region: str) -> None:
        self._reading = reading
        self._region = region
        self.protocols: dict[str, Protocol | None] = {}
        self.endpoints: list[Endpoint] = []
        self.environment: dict[str, pulumi.Input[str]] = {}
        self.secret_arns: list[pulumi.Input[str]] = []
        self.kms_key_arns: list[pulumi.Input[str]] = []
        # A map has no order, and may arrive in another: what is made of it must not depend on that.
        for name, value in sorted(reading.fields("providers", given).items()):
            self.protocols[name] = self._provider(name, value)
        self._check_size()

    def _provider(self, name: str, value: Any) -> Protocol | None:
        path = f"providers.{name}"
        given = self._reading.fields(path, value)
        type_ = self._reading.one_of(f"{path}.type", given.get("type"), tuple(PROTOCOLS))
        protocol = None if type_ is None else PROTOCOLS[type_]
        if "type" not in given:
            self._reading.tell(f"{path}.type", "is required, but not given")
        base_url, secret_arn, kms_key_arn = (given.get(key) for key in ("base_url", "secret_arn", "kms_key_arn"))
        if base_url is None and protocol is not None:
            base_url = protocol.base_url or None
        if base_url is None and protocol is not None:
            self._reading.tell(f"{path}.base_url", "is required, such as https://api.example.com/v1")
        prefix = self._prefix(path, name)
        self._check_base_url(path, protocol, base_url, keyed=secret_arn is not None)
        self._check_secret(f"{path}.secret_arn", secret_arn)
        self._check_key(f"{path}.kms_key_arn", kms_key_arn, keyed=secret_arn is not None)

        if base_url is not None:
            self.environment[f"{prefix}_BASE_URL"] = base_url
        if secret_arn is not None:
            self.environment[f"{prefix}_SECRET_ARN"] = secret_arn
            self.secret_arns.append(secret_arn)
        if kms_key_arn is not None:
            self.kms_key_arns.append(kms_key_arn)
        if protocol is not None:
            secret_arn_variable = f"{prefix}_SECRET_ARN" if secret_arn is not None else ""
            self.endpoints.append(Endpoint(name, protocol.name, f"{prefix}_BASE_URL", secret_arn_variable))
        return protocol

    def _prefix(self, path: str, name: str) -> str:
        """How the names of its environment variables begin."""
        prefix = f"PROVIDER_{re.sub('[.-]', '_', name).upper()}"
        if name in (BEDROCK, MOCK):
            self._reading.tell(path, f"{name!r} is there already; every provider needs a name of its own")
        elif not re.fullmatch(NAME, name):
            self._reading.tell(path, f"{name!r} is not of the form of {NAME_FORM}")
        elif f"{prefix}_BASE_URL" in self.environment:
            self._reading.tell(
                path, f"{name!r} and another provider share the variable {prefix}_BASE_URL; let other letters or digits differ"
            )
        return prefix

    def _check_base_url(self, provider: str, protocol: Protocol | None, value: Any, *, keyed: bool) -> None:
        path = f"{provider}.base_url"
        text = self._plain(path, value)
        if text is None:
            return
        match = _URL.fullmatch(text)
        if match is None or "?" in text or "#" in text:
            # The value is not shown, for it may have a password in it.
            self._reading.tell(path, "must be a URL such as https://api.example.com/v1, without a user, a query or white space")
            return
        if match["scheme"] == "http" and keyed and not re.fullmatch(_LOOPBACK, match["host"]):
            self._reading.tell(path, f"{text!r} would send the key in plain text; give an https:// URL, or no secret_arn")
        base = text.rstrip("/")
        for end in protocol.added_paths if protocol is not None else ():
            if (match["path"] or "").rstrip("/").endswith(end):
                right = base.removesuffix(end)
                self._reading.tell(path, f"{text!r} must be without {end}, which is added to it; give {right!r}")
                break
        if not keyed and any(each.needs_key and each.base_url == base for each in PROTOCOLS.values()):
            self._reading.tell(f"{provider}.secret_arn", f"is required by {base}: the ARN of the secret with its key")

    def _check_secret(self, path: str, value: Any) -> None:
        text = self._plain(path, value)
        if text is None:
            return
        match = _SECRET.fullmatch(text)
        if match is None:
            # The value is not shown, for it may be the key itself.
            right = f"arn:aws:secretsmanager:{self._region or 'REGION'}:ACCOUNT:secret:NAME-AbCdEf"
            self._reading.tell(path, f"must be the ARN of a secret, such as {right}; the key itself stands in the secret alone")
        elif not _WHOLE_NAME.fullmatch(match["name"]):
            reason = f"{text!r} lacks the '-' and six characters at its end, without which IAM does not match it; give it as "
            self._reading.tell(path, f"{reason}aws secretsmanager describe-secret shows it")
        else:
            self._check_region(path, match)

    def _check_key(self, path: str, value: Any, *, keyed: bool) -> None:
        text = self._plain(path, value)
        if text is not None:
            match = _KEY.fullmatch(text)
            if match is None:
                right = f"arn:aws:kms:{self._region or 'REGION'}:ACCOUNT:key/ID"
                self._reading.tell(path, f"{text!r} is not the ARN of a key, such as {right}; an alias's is none")
            else:
                self._check_region(path, match)
        if value is not None and not keyed:
            self._reading.tell(path, "is what encrypts the secret; give secret_arn too, or leave it out")

    def _check_region(self, path: str, arn: re.Match[str]) -> None:
        if self._region and arn["region"] != self._region:
            self._reading.tell(path, f"is in {arn['region']}; give one in {self._region}, where the function asks for it")

    def _plain(self, path: str, value: Any) -> str | None:
        """A text, None for an Output and for nothing."""
        return None if isinstance(value, pulumi.Output) else self._reading.text(path, value)

    def _check_size(self) -> None:
        """Outputs are not counted, for their values are not known."""
        taken = {name: len(name) + len(v.encode()) for name, v in self.environment.items() if isinstance(v, str)}
        allowed = ENVIRONMENT_BYTES - OWN_ENVIRONMENT_BYTES
        if sum(taken.values()) > allowed:
            largest = [f"{name} takes {size:,}" for name, size in sorted(taken.items(), key=lambda item: -item[1])[:3]]
            self._reading.tell(
                "providers",
                f"take {sum(taken.values()):,} bytes of the function's environment, and Lambda's {ENVIRONMENT_BYTES:,} leave "
                f"them {allowed:,}; give fewer or shorter ones: {', '.join(largest)}",
            )
