"""The rules on secrets in what a program writes into environments, scripts, definitions and parameters."""

from collections.abc import Iterator, Mapping
from typing import Final

from llm_policies.rule import AWS_DOCS, Resource, Rule, Settings
from llm_policies.secret_texts import secrets_in
from llm_policies.values import Value, each, each_at
from llm_policies.workloads import POD_SPECS, POD_TYPES

_FUNCTION: Final = "aws:lambda/function:Function"
_PARAMETER: Final = "aws:ssm/parameter:Parameter"
_SAGEMAKER: Final = "aws:sagemaker"

_RUN: Final = ("env", "command", "args")
_CODE: Final = "sourceConfiguration.codeRepository.codeConfiguration.codeConfigurationValues"
_IMAGE: Final = "sourceConfiguration.imageRepository.imageConfiguration"

# Where each type holds text that runs, or what it runs with: whoever may describe the resource reads it there.
_PLACES: Final[Mapping[str, tuple[str, ...]]] = {
    _FUNCTION: ("environment.variables",),
    _PARAMETER: ("value", "insecureValue"),
    "aws:amplify/app:App": ("environmentVariables", "buildSpec", "autoBranchCreationConfig.environmentVariables"),
    "aws:amplify/branch:Branch": ("environmentVariables",),
    "aws:apigateway/integration:Integration": ("requestParameters", "requestTemplates"),
    "aws:apigateway/stage:Stage": ("variables",),
    "aws:apigatewayv2/integration:Integration": ("requestParameters", "requestTemplates"),
    "aws:apigatewayv2/stage:Stage": ("stageVariables",),
    "aws:appconfig/hostedConfigurationVersion:HostedConfigurationVersion": ("content",),
    "aws:apprunner/service:Service": (
        *(f"{_CODE}.{name}" for name in ("runtimeEnvironmentVariables", "startCommand", "buildCommand")),
        *(f"{_IMAGE}.{name}" for name in ("runtimeEnvironmentVariables", "startCommand")),
    ),
    "aws:appsync/function:Function": ("code", "requestMappingTemplate"),
    "aws:appsync/resolver:Resolver": ("code", "requestTemplate"),
    "aws:batch/jobDefinition:JobDefinition": (
        *("containerProperties", "ecsProperties", "nodeProperties", "parameters"),
        *(
            f"eksProperties.podProperties.{held}[].{name}"
            for held in ("containers", "initContainers")
            for name in ("envs", "commands", "args")
        ),
    ),
    "aws:bedrock/agentcoreAgentRuntime:AgentcoreAgentRuntime": ("environmentVariables",),
    "aws:bedrock/agentcoreHarness:AgentcoreHarness": ("environmentVariables",),
    "aws:cloudformation/stack:Stack": ("parameters",),
    "aws:cloudfront/distribution:Distribution": ("origins[].customHeaders",),
    "aws:cloudfront/function:Function": ("code",),
    "aws:cloudwatch/eventTarget:EventTarget": ("input", "inputTransformer.inputTemplate", "httpTarget.headerParameters"),
    "aws:codebuild/project:Project": ("environment.environmentVariables", "source.buildspec", "secondarySources[].buildspec"),
    "aws:codepipeline/pipeline:Pipeline": ("stages[].actions[].configuration", "stages[].actions[].commands"),
    "aws:ec2/instance:Instance": ("userData", "userDataBase64"),
    "aws:ec2/launchConfiguration:LaunchConfiguration": ("userData", "userDataBase64"),
    "aws:ec2/launchTemplate:LaunchTemplate": ("userData",),
    "aws:ec2/spotFleetRequest:SpotFleetRequest": ("launchSpecifications[].userData",),
    "aws:ec2/spotInstanceRequest:SpotInstanceRequest": ("userData", "userDataBase64"),
    "aws:ecs/daemonTaskDefinition:DaemonTaskDefinition": tuple(
        f"containerDefinitions[].{name}" for name in ("environments", "commands", "entryPoints")
    ),
    "aws:ecs/expressGatewayService:ExpressGatewayService": ("primaryContainer.environments", "primaryContainer.commands"),
    "aws:ecs/taskDefinition:TaskDefinition": ("containerDefinitions",),
    "aws:eks/addon:Addon": ("configurationValues",),
    "aws:elasticbeanstalk/configurationTemplate:ConfigurationTemplate": ("settings",),
    "aws:elasticbeanstalk/environment:Environment": ("settings",),
    "aws:glue/connection:Connection": ("connectionProperties",),
    "aws:glue/job:Job": ("defaultArguments", "nonOverridableArguments"),
    "aws:imagebuilder/component:Component": ("data",),
    "aws:imagebuilder/imageRecipe:ImageRecipe": ("userDataBase64",),
    "aws:kinesisanalyticsv2/application:Application": (
        "applicationConfiguration.environmentProperties.propertyGroups[].propertyMap",
    ),
    "aws:lambda/invocation:Invocation": ("input",),
    "aws:lightsail/containerServiceDeploymentVersion:ContainerServiceDeploymentVersion": (
        "containers[].environment",
        "containers[].commands",
    ),
    "aws:lightsail/instance:Instance": ("userData",),
    "aws:mwaa/environment:Environment": ("airflowConfigurationOptions",),
    "aws:pipes/pipe:Pipe": (
        "targetParameters.inputTemplate",
        "targetParameters.ecsTaskParameters.overrides.containerOverrides[].environments",
        "targetParameters.batchJobParameters.containerOverrides.environments",
    ),
    f"{_SAGEMAKER}/hyperParameterTuningJob:HyperParameterTuningJob": (
        "trainingJobDefinition.environment",
        "trainingJobDefinition.staticHyperParameters",
    ),
    f"{_SAGEMAKER}/model:Model": ("primaryContainer.environment", "containers[].environment"),
    f"{_SAGEMAKER}/notebookInstanceLifecycleConfiguration:NotebookInstanceLifecycleConfiguration": ("onCreate", "onStart"),
    f"{_SAGEMAKER}/pipeline:Pipeline": ("pipelineDefinition",),
    f"{_SAGEMAKER}/studioLifecycleConfig:StudioLifecycleConfig": ("studioLifecycleConfigContent",),
    f"{_SAGEMAKER}/trainingJob:TrainingJob": ("environment", "hyperParameters"),
    "aws:scheduler/schedule:Schedule": ("target.input",),
    "aws:sfn/stateMachine:StateMachine": ("definition",),
    "aws:ssm/association:Association": ("parameters",),
    "aws:ssm/document:Document": ("content",),
    "aws:synthetics/canary:Canary": ("runConfig.environmentVariables",),
    **{
        kind: tuple(
            f"{POD_SPECS[kind.rpartition(':')[2]]}.{held}[].{name}"
            for held in ("containers", "initContainers")
            for name in _RUN
        )
        for kind in POD_TYPES
    },
    "kubernetes:core/v1:ConfigMap": ("data",),
    "kubernetes:helm.sh/v3:Release": ("values",),
    "kubernetes:helm.sh/v4:Chart": ("values",),
}


def places(kind: str) -> tuple[str, ...]:
    """The paths of a type's properties that the rules read."""
    return _PLACES[kind]


def _no_secrets(resource: Resource, _: Settings) -> Iterator[str]:
    if resource.type == _PARAMETER:
        yield from _parameter(resource)
        return

    def read(value: Value) -> Iterator[str]:
        for line in secrets_in(value) if not value.missing else ():
            yield f"{line}: keep it in Secrets Manager and refer to it by its ARN"

    yield from each_at(resource.properties, [(path, read) for path in _PLACES[resource.type]])


def _parameter(resource: Resource) -> Iterator[str]:
    if resource["type"].equals("SecureString"):
        return

    def read(value: Value) -> Iterator[str]:
        name = "" if value.missing else resource["name"].text()
        for line in secrets_in(value, name) if not value.missing else ():
            yield f"{line}, and type is {resource['type'].text()}: make it a SecureString"

    yield from each((resource[path] for path in _PLACES[_PARAMETER]), read)


RULES: Final[tuple[Rule, ...]] = (
    Rule(
        name="lambda-environment-no-secrets",
        title="No secret stands in a function's environment.",
        severity="critical",
        why="Whoever may read the function's configuration reads its environment, and it is kept in every published version.",
        fix="Put the value into Secrets Manager, give the function its ARN, and let its role read it.",
        check=_no_secrets,
        types=(_FUNCTION,),
        url=f"{AWS_DOCS}/lambda/latest/dg/configuration-envvars.html",
    ),
    Rule(
        name="no-secrets-in-plain-text",
        title="No secret stands in a container's environment, a script, a definition or a plain parameter.",
        severity="critical",
        why=(
            "User data, task and job definitions, build projects, pods, state machines and String parameters are read by "
            "whoever may describe them, and are kept in old revisions, in logs and in the stack's state."
        ),
        fix=(
            "Secrets Manager, or a parameter that is a SecureString: `secrets` with `valueFrom` in ECS and Batch, type "
            "SECRETS_MANAGER in CodeBuild, `secretKeyRef` in a pod; a script reads it as it starts."
        ),
        check=_no_secrets,
        types=tuple(kind for kind in _PLACES if kind != _FUNCTION),
        frameworks=("AWS FSBP CodeBuild.2", "AWS FSBP ECS.8"),
        url=f"{AWS_DOCS}/secretsmanager/latest/userguide/integrating.html",
    ),
)
