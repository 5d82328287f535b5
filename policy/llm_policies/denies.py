"""What the Denies of a document leave of an Allow: a Deny counts only for the actions and resources that it denies."""

from collections.abc import Callable, Sequence

from llm_policies import actions
from llm_policies.actions import matches
from llm_policies.arns import can_be, forms_of, is_open, sample
from llm_policies.conditions import Condition, split_arn
from llm_policies.documents import Statement

Left = Callable[[Condition], bool]
"""Whether what a Deny's condition leaves is limited."""


def is_denied(action: str, resource: str, denies: Sequence[Statement], left: Left) -> bool:
    """Whether a Deny covers an action (or pattern) on all of a resource (or pattern), but for what is limited."""
    return any(
        _covers_action(one, action) and _covers_resource(one, resource, action) and _leaves_little(one, left) for one in denies
    )


def _leaves_little(one: Statement, left: Left) -> bool:
    """Whether all that a Deny spares is limited. It applies where all its conditions hold: each of them spares its own."""
    return all(left(condition) for condition in one.conditions())


def _covers_action(one: Statement, action: str) -> bool:
    if one.value["NotAction"].missing:
        return any(matches(pattern, action) for pattern in one.texts("Action"))
    names = [each.name for each in actions.expanded(action)] or [action]
    return not any(matches(pattern, name) for pattern in one.texts("NotAction") for name in names)


def _covers_resource(one: Statement, resource: str, action: str) -> bool:
    if not one.value["NotResource"].missing:
        spared = one.texts("NotResource")
        if one.document.kind == "identity" and is_open(resource):
            return not any(is_open(text) for text in spared)  # of everything, what is named is left
        return not any(matches(text, resource) or matches(resource, text) for text in spared)
    patterns = one.texts("Resource")
    if not patterns or any(matches(pattern, resource) for pattern in patterns):
        return True
    if one.document.kind == "resource" and resource == "*":
        # A resource's own policy is about that one alone, but for a bucket's, which has objects.
        return not any(action.startswith(service) for service in ("*", "s3")) or _is_bucket_and_objects(patterns)
    names = [sample(form, resource) for form in forms_of(action) if can_be(resource, form)]
    return bool(names) and all(any(matches(_of_any_account(pattern), name) for pattern in patterns) for name in names)


def _is_bucket_and_objects(patterns: Sequence[str]) -> bool:
    return any(pattern.endswith("/*") and pattern[:-2] in patterns for pattern in patterns)


def _of_any_account(pattern: str) -> str:
    """A pattern without its account: an identity's policy reaches its own account's resources alone."""
    parts = split_arn(pattern)
    return pattern if parts is None or not parts[4].isdigit() else ":".join((*parts[:4], "*", parts[5]))
