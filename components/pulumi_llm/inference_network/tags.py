"""The tags of what AWS's console shows by its tag Name."""

import pulumi

from pulumi_llm.base.component import Component


def named(component: Component, key: str, suffix: int | str = "") -> dict[str, pulumi.Input[str]]:
    """Return a child's tags. The configuration's own Name wins."""
    return {"Name": f"{component.child_name(key)}{f'-{suffix}' if suffix else ''}", **component.tags}
