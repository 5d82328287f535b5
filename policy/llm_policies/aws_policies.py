"""AWS's own policies that allow more than a workload needs."""

from typing import Final


def name_of(arn: str) -> str:
    """The name of AWS's own policy with this ARN, `AdministratorAccess`; empty if it is no such policy."""
    parts = arn.split(":", 5)
    if len(parts) < 6 or parts[4] != "aws" or not parts[5].startswith("policy/"):
        return ""
    return parts[5].rpartition("/")[2]


def is_broad_policy(arn: str) -> bool:
    """Whether an ARN is that of an administrator's policy of AWS, or of a FullAccess one."""
    name = name_of(arn)
    return name.startswith("AdministratorAccess") or "FullAccess" in name or name in _BROAD


_BROAD: Final = (
    "DatabaseAdministrator",
    "DataScientist",
    "NetworkAdministrator",
    "PowerUserAccess",
    "SecretsManagerReadWrite",  # secretsmanager:* on *: full access by another name
    "SystemAdministrator",
)
