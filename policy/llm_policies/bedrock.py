"""Rules on the models that an identity may call on Amazon Bedrock: exact models, profiles with their models, allowed models."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final, cast

from llm_policies.actions import is_pattern, matches
from llm_policies.boundaries import LIMITED, POLICY, alone, grants, in_stack
from llm_policies.documents import BOUNDARIES, Document, Statement, each_document, each_statement
from llm_policies.rule import STRINGS, Resource, Rule, Setting, Settings
from llm_policies.stacks import of_type
from llm_policies.values import State, Value, each, some

_INLINE: Final = (
    "aws:iam/rolePolicy:RolePolicy",
    POLICY,
    "aws:iam/userPolicy:UserPolicy",
    "aws:iam/groupPolicy:GroupPolicy",
)
_ATTACHMENTS: Final = (
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
    "aws:iam/userPolicyAttachment:UserPolicyAttachment",
    "aws:iam/groupPolicyAttachment:GroupPolicyAttachment",
    "aws:iam/policyAttachment:PolicyAttachment",
)
_ROLE: Final = "aws:iam/role:Role"
POLICIES: Final = (*_INLINE, _ROLE, *_ATTACHMENTS)
"""The types of resource that give an identity permissions."""

# Calling a model is authorized as these. Converse has no action of its own, but documents name it, and it may get one.
# https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonbedrock.html
_INVOKE: Final = (
    "bedrock:InvokeModel",
    "bedrock:InvokeModelWithResponseStream",
    "bedrock:InvokeModelWithBidirectionalStream",
    "bedrock:Converse",
    "bedrock:ConverseStream",
    "bedrock:CreateModelInvocationJob",
)
# What else spends on models: they are not judged by model, only by how much may be spent.
_OTHER_CALLS: Final = (
    "bedrock-mantle:CreateInference",
    "sagemaker:InvokeEndpoint",
    "sagemaker:InvokeEndpointAsync",
    "sagemaker:InvokeEndpointWithResponseStream",
)
# AWS's own policies that allow calls of every model.
_WIDE_POLICIES: Final = ("AmazonBedrockFullAccess",)
_CALLING_POLICIES: Final = (*_WIDE_POLICIES, "AmazonSageMakerFullAccess", "AdministratorAccess", "PowerUserAccess")

_MODEL_KINDS: Final = (
    "foundation-model",
    "inference-profile",
    "application-inference-profile",
    "provisioned-model",
    "imported-model",
    "custom-model",
    "custom-model-deployment",
    "prompt-router",
    "default-prompt-router",
)
_PROFILE_CONDITION: Final = "bedrock:inferenceprofilearn"
_ROUTER_CONDITION: Final = "bedrock:promptrouterarn"


def _each_arn(document: Document, check: Callable[[Statement, Value], Iterator[str]]) -> Iterator[str]:
    """Check each resource of each statement that allows calls of models, together with its statement."""

    def of_statement(statement: Statement) -> Iterator[str]:
        if _allows(statement, _INVOKE):
            yield from each(statement.value["Resource"].items(), lambda arn: check(statement, arn))

    yield from document.each_statement(of_statement)


def _allows(statement: Statement, actions: Sequence[str]) -> bool:
    """Whether a statement allows one of these actions. Raises `NotVerified` if that depends on an unknown value."""
    if not statement.allows:
        return False
    if not statement.value["NotAction"].missing:
        return any(statement.covers(action) for action in actions)
    named = statement.value["Action"].items()
    return some(named, lambda item: any(matches(item.text(), action) for action in actions))


def _demanded(statement: Statement, key: str) -> list[str]:
    """The values of which a condition key (lower case, with `*`) must have one."""
    return [value for condition in statement.conditions(key) if condition.demands for value in condition.values]


@dataclass(frozen=True)
class _Model:
    """The part of Bedrock that an ARN in a document names, with its wildcards."""

    region: str
    kind: str
    id: str
    arn: str

    @property
    def base(self) -> str:
        """The id of the foundation model; for an inference profile, its id without the geography, such as `us.`."""
        return self.id.partition(".")[2] if self.kind == "inference-profile" else self.id

    @property
    def wide(self) -> bool:
        return "*" in self.kind + self.id or "?" in self.kind + self.id


def _model(arn: str) -> _Model | None:
    """Read an ARN or a pattern of ARNs. None if it cannot match a model."""
    if "*" in arn and arn.count(":") < 5:  # a wildcard spans colons
        head, _, _ = arn.partition("*")
        parts = [*f"{head}*".split(":"), *["*"] * 6][:6]
    else:
        parts = arn.split(":", 5)
    if len(parts) < 6 or not matches(parts[2], "bedrock"):
        return None
    kind, _, identifier = parts[5].partition("/")
    if "*" in kind and not identifier:
        identifier = "*"
    if not any(matches(kind, known) for known in _MODEL_KINDS):
        return None
    return _Model(parts[3], kind, identifier, arn)


def any_calls_models(resources: Sequence[Resource], settings: Settings) -> bool:
    """Whether a stack lets an identity call models. A permissions boundary lets nobody. Raises `NotVerified`."""

    def calls(resource: Resource) -> bool:
        return calls_models(resource) and (resource.type != POLICY or grants(resource, resources, settings))

    return some(of_type(resources, *POLICIES), calls)


def calls_models(resource: Resource) -> bool:
    """Whether a resource allows an identity to call models, on Bedrock or SageMaker. Raises `NotVerified`."""
    if resource.type in _ATTACHMENTS:
        return _policy_name(resource["policyArn"]) in _CALLING_POLICIES
    if resource.type == _ROLE and any(
        arn.state is State.KNOWN and _policy_name(arn) in _CALLING_POLICIES for arn in resource["managedPolicyArns"].items()
    ):
        return True

    def calls(statement: Statement) -> Iterator[str]:
        if _allows(statement, (*_INVOKE, *_OTHER_CALLS)):
            yield statement.path

    return any(each_statement(resource, ("identity",), calls))


def _policy_name(arn: Value) -> str:
    """The name of AWS's own policy with this ARN; empty for a customer's policy."""
    text = arn.text()
    return text.rpartition("/")[2] if ":iam::aws:" in text else ""


# Rules.


def _model_scope(resource: Resource, _: Settings) -> Iterator[str]:
    def attached(arn: Value) -> Iterator[str]:
        if _policy_name(arn) in _WIDE_POLICIES:
            yield f"{arn.path}: {_policy_name(arn)} allows every model; write a policy that names the models' ARNs"

    def of_document(document: Document) -> Iterator[str]:
        yield from document.each_statement(excluding)
        yield from _each_arn(document, of_arn)

    def excluding(statement: Statement) -> Iterator[str]:
        excluded = statement.value["NotResource"]
        if not excluded.missing and _allows(statement, _INVOKE):
            yield f"{excluded.path}: allows every model but these; list the models' ARNs in Resource"

    def of_arn(statement: Statement, arn: Value) -> Iterator[str]:
        model = _model(arn.text()) if arn.text() != "*" else _Model("*", "*", "*", "*")
        if model is None or _bound_by_tags(statement):
            return
        if model.wide:
            yield f"{arn.path}: {model.arn} stands for more than one model; name each by its ARN"
        elif ("*" in model.region or "?" in model.region) and not _bound_by_profile(statement):
            yield f"{arn.path}: {model.arn} is the model in every region, past all limits of one; name the regions"

    if resource.type in _ATTACHMENTS:
        yield from attached(resource["policyArn"])
        return
    if resource.type == _ROLE:
        yield from each(resource["managedPolicyArns"].items(), attached)
    yield from each_document(resource, ("identity",), of_document)


def _bound_by_tags(statement: Statement) -> bool:
    """Whether the statement is limited to resources with a certain tag. Foundation models have none; your own profiles do."""
    return statement.demands("aws:resourcetag/*")


def _bound_by_profile(statement: Statement) -> bool:
    """Whether the models may be called only through exact profiles. Then the profile decides where they run, not a wildcard."""
    profiles = _demanded(statement, _PROFILE_CONDITION)
    return bool(profiles) and not any(is_pattern(profile) for profile in profiles)


def _profile_paired(resource: Resource, settings: Settings) -> Iterator[str]:
    regions = cast("dict[str, list[str]]", settings["regions"])

    def of_document(document: Document) -> Iterator[str]:
        calling = [statement for statement in document.statements() if _allows(statement, _INVOKE)]
        # What is behind a prompt router is reached through it alone.
        calling = [statement for statement in calling if not _demanded(statement, _ROUTER_CONDITION)]
        named = [
            (arn, model, _demanded(statement, _PROFILE_CONDITION))
            for statement in calling
            for arn in statement.value["Resource"].items()
            if (model := _model(arn.text())) is not None
        ]
        if any(arn.text() == "*" for statement in calling for arn in statement.value["Resource"].items()):
            return  # everything is allowed, which another rule tells
        models = [(arn, model, paired) for arn, model, paired in named if matches(model.kind, "foundation-model")]
        profiles = [(arn, model) for arn, model, _ in named if model.kind == "inference-profile" and not model.wide]
        for arn, profile in profiles:
            yield from unmatched(arn, profile, [(model, paired) for _, model, paired in models])
        for arn, model, paired in models:
            elsewhere = [p for _, p in profiles if p.base == model.base and p.region != model.region]
            at_home = any(p.base == model.base and p.region == model.region for _, p in profiles)
            if elsewhere and not at_home and not model.wide and (not paired or "*" in paired):
                yield (
                    f"{arn.path}: {model.arn} may be called past the profile {elsewhere[0].id}, in a region of its own; "
                    "move it to a statement with the condition StringEquals bedrock:InferenceProfileArn"
                )

    def unmatched(arn: Value, profile: _Model, models: list[tuple[_Model, list[str]]]) -> Iterator[str]:
        own = [
            model
            for model, paired in models
            if matches(model.id, profile.base) and (not paired or any(matches(value, profile.arn) for value in paired))
        ]
        geography = profile.id.partition(".")[0]
        if not own:
            yield (
                f"{arn.path}: the document allows the profile {profile.id}, but not its foundation model {profile.base}, "
                "without which every call through it is denied; add the model in each region where the profile may run"
            )
            return
        if geography == "global" and not any(matches(model.region, "") for model in own):
            yield (
                f"{arn.path}: a global profile runs anywhere: allow arn:aws:bedrock:::foundation-model/{profile.base} too, "
                "with the condition bedrock:InferenceProfileArn"
            )
        # The Region of the call is always one of them.
        needed = dict.fromkeys((profile.region, *regions.get(geography, [])))
        missing = [r for r in needed if not any(matches(model.region, r) for model in own)]
        if missing:
            yield f"{arn.path}: the profile {profile.id} runs in {', '.join(missing)} too, where its model is not allowed"

    yield from each_document(resource, ("identity",), of_document)


def _models_allowed(resource: Resource, settings: Settings) -> Iterator[str]:
    allowed = cast("list[str]", settings["models"])

    def check(arn: Value) -> Iterator[str]:
        model = _model(arn.text()) if arn.text() != "*" else _Model("*", "*", "*", "*")
        if model is None:
            return
        names = (model.base, model.id, f"{model.kind}/{model.id}")
        if not any(fnmatchcase(name, pattern) for name in names for pattern in allowed):
            yield f"{arn.path}: {model.id} is none of the allowed models: {', '.join(allowed)}"

    if not allowed:
        return
    source = {
        "aws:bedrock/inferenceProfile:InferenceProfile": "modelSource.copyFrom",
        "aws:bedrock/provisionedModelThroughput:ProvisionedModelThroughput": "modelArn",
    }.get(resource.type)
    if source is not None:
        yield from check(resource.at(source))
    else:
        yield from each_document(resource, ("identity",), lambda document: _each_arn(document, lambda _, arn: check(arn)))


MODEL_SCOPE: Final = Rule(
    name="bedrock-model-scope",
    title="An identity may call exact Bedrock models only.",
    severity="high",
    why=(
        "Models differ in price by more than a hundred times, and in what they do with data. With a wildcard, whoever gets at "
        "the role calls the dearest model in every region, past the limits of the one it was made for."
    ),
    fix="List in Resource the ARN of each foundation model or inference profile that is called, region and id in full.",
    check=alone(_model_scope),
    check_stack=in_stack(_model_scope),
    types=(*POLICIES, *LIMITED),
    settings={"boundaries": BOUNDARIES},
    url="https://docs.aws.amazon.com/bedrock/latest/userguide/security_iam_id-based-policy-examples.html",
)

PROFILE_PAIRED: Final = Rule(
    name="bedrock-profile-paired",
    title="An inference profile is allowed with its models, and they only through it.",
    severity="medium",
    why=(
        "A call through a profile is authorized for the profile and for the model in the region where it runs: without these "
        "it is denied. Models without the condition may be called past the profile, in regions that nobody counts."
    ),
    fix=(
        "Two statements: one for the profile; one for its foundation models in each region where it may run, with "
        'the condition {"StringEquals": {"bedrock:InferenceProfileArn": profile_arn}}.'
    ),
    check=alone(_profile_paired),
    check_stack=in_stack(_profile_paired),
    types=(*_INLINE, *LIMITED),
    settings={
        "boundaries": BOUNDARIES,
        "regions": Setting(
            {},
            {"type": "object", "additionalProperties": STRINGS},
            "The regions where the profiles of a geography run, such as us: [us-east-1, us-east-2]; a document must name all.",
        ),
    },
    url="https://docs.aws.amazon.com/bedrock/latest/userguide/geographic-cross-region-inference.html",
)

MODELS_ALLOWED: Final = Rule(
    name="bedrock-models-allowed",
    title="Only models from the list of allowed ones may be called.",
    severity="medium",
    why="A model that nobody has approved may cost many times what was planned, or come under terms that nobody has read.",
    fix="Take an allowed model, or have the model added to the setting `models`.",
    check=alone(_models_allowed),
    check_stack=in_stack(_models_allowed),
    types=(
        *_INLINE,
        *LIMITED,
        "aws:bedrock/inferenceProfile:InferenceProfile",
        "aws:bedrock/provisionedModelThroughput:ProvisionedModelThroughput",
    ),
    settings={
        "boundaries": BOUNDARIES,
        "models": Setting(
            [],
            STRINGS,
            "What may be called: globs of model ids, a profile's without its geography, or of kind/id as `imported-model/*`. "
            "Empty: all.",
        ),
    },
    url="https://docs.aws.amazon.com/bedrock/latest/userguide/model-ids.html",
)

RULES: Final = (MODEL_SCOPE, PROFILE_PAIRED, MODELS_ALLOWED)
