"""Secrets wherever text runs: each place of each type, each name and each shape of a secret, and what only looks like one."""

import base64
import gzip
import json
from typing import Any

import pytest

from llm_policies import secrets_in_settings
from llm_policies.testing import UNKNOWN, problems, resource, unverified

SECRET = "Zr8Kq2vLw9Xc"  # by its form alone it is none
TOKEN = "ghp_" + "a1B2" * 9
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJjaGF0In0.5f0c1d2e3b4a59687766554433221100aabbccdd"
SCRIPT = f"#!/bin/bash\nexport AWS_DEFAULT_REGION=us-east-1\nexport OPENAI_API_KEY={SECRET}\n/opt/serve\n"
LAMBDA = "aws:lambda/function:Function"


def judged(kind: str, properties: dict[str, Any]) -> list[str]:
    return [line for rule in secrets_in_settings.RULES for line in problems(rule, resource(kind, properties))]


def base64_of(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def container(**more: Any) -> dict[str, Any]:
    return {"name": "chat", "image": "chat:1", **more}


def pair(name: str, value: Any, **more: Any) -> dict[str, Any]:
    return {"name": name, "value": value, **more}


def pod(**more: Any) -> dict[str, Any]:
    return {"spec": {"template": {"spec": {"containers": [container(**more)]}}}}


def states(**state: Any) -> dict[str, Any]:
    return {"definition": json.dumps({"StartAt": "Call", "States": {"Call": {"Type": "Task", "End": True, **state}}})}


PAIR = [pair("OPENAI_API_KEY", SECRET)]
VARIABLES = {"OPENAI_API_KEY": SECRET}

# A place where text runs: the type, the properties, and a part of what is told.
PLACES: list[tuple[str, dict[str, Any], str]] = [
    (LAMBDA, {"environment": {"variables": VARIABLES}}, "environment.variables.OPENAI_API_KEY"),
    (
        "aws:ecs/taskDefinition:TaskDefinition",
        {"containerDefinitions": json.dumps([container(environment=PAIR)])},
        "OPENAI_API_KEY",
    ),
    (
        "aws:ecs/taskDefinition:TaskDefinition",
        {"containerDefinitions": json.dumps([container(command=["serve", "--api-key", SECRET])])},
        "--api-key",
    ),
    (
        "aws:ecs/taskDefinition:TaskDefinition",
        {"containerDefinitions": json.dumps([container(command=["sh", "-c", f"HF_TOKEN={SECRET} serve"])])},
        "HF_TOKEN",
    ),
    ("aws:ecs/daemonTaskDefinition:DaemonTaskDefinition", {"containerDefinitions": [container(environments=PAIR)]}, "KEY"),
    ("aws:ecs/expressGatewayService:ExpressGatewayService", {"primaryContainer": {"environments": PAIR}}, "KEY"),
    ("aws:codebuild/project:Project", {"environment": {"environmentVariables": PAIR}}, "environmentVariables[0].value"),
    (
        "aws:codebuild/project:Project",
        {"source": {"buildspec": f"version: 0.2\nenv:\n  variables:\n    NPM_TOKEN: {SECRET}\n"}},
        "NPM_TOKEN",
    ),
    (
        "aws:codebuild/project:Project",
        {"source": {"buildspec": f"phases:\n  build:\n    commands:\n      - docker login -u chat -p {SECRET}\n"}},
        "docker login",
    ),
    (
        "aws:apprunner/service:Service",
        {"sourceConfiguration": {"imageRepository": {"imageConfiguration": {"runtimeEnvironmentVariables": VARIABLES}}}},
        "OPENAI_API_KEY",
    ),
    (
        "aws:apprunner/service:Service",
        {
            "sourceConfiguration": {
                "codeRepository": {
                    "codeConfiguration": {"codeConfigurationValues": {"startCommand": f"serve --api-key={SECRET}"}}
                }
            }
        },
        "startCommand",
    ),
    ("aws:sagemaker/model:Model", {"primaryContainer": {"environment": {"HF_TOKEN": SECRET}}}, "HF_TOKEN"),
    ("aws:sagemaker/model:Model", {"containers": [{"environment": {"HUGGING_FACE_HUB_TOKEN": SECRET}}]}, "HUB_TOKEN"),
    ("aws:sagemaker/trainingJob:TrainingJob", {"environment": {"WANDB_API_KEY": SECRET}}, "WANDB_API_KEY"),
    ("aws:sagemaker/trainingJob:TrainingJob", {"hyperParameters": {"hub_token": TOKEN}}, "hub_token"),
    (
        "aws:sagemaker/notebookInstanceLifecycleConfiguration:NotebookInstanceLifecycleConfiguration",
        {"onStart": base64_of(SCRIPT)},
        "OPENAI_API_KEY",
    ),
    ("aws:sagemaker/studioLifecycleConfig:StudioLifecycleConfig", {"studioLifecycleConfigContent": base64_of(SCRIPT)}, "KEY"),
    (
        "aws:batch/jobDefinition:JobDefinition",
        {"containerProperties": json.dumps({"image": "chat:1", "environment": PAIR})},
        "OPENAI_API_KEY",
    ),
    (
        "aws:batch/jobDefinition:JobDefinition",
        {"eksProperties": {"podProperties": {"containers": [{"envs": PAIR}]}}},
        "OPENAI_API_KEY",
    ),
    (
        "aws:batch/jobDefinition:JobDefinition",
        {"nodeProperties": json.dumps({"nodeRangeProperties": [{"container": {"environment": PAIR}}]})},
        "OPENAI_API_KEY",
    ),
    ("aws:batch/jobDefinition:JobDefinition", {"parameters": {"hfToken": SECRET}}, "hfToken"),
    ("aws:ec2/instance:Instance", {"userData": SCRIPT}, "userData: OPENAI_API_KEY"),
    ("aws:ec2/instance:Instance", {"userDataBase64": base64_of(SCRIPT)}, "OPENAI_API_KEY"),
    ("aws:ec2/instance:Instance", {"userDataBase64": base64_of(f"export OPENAI_API_KEY={SECRET}")}, "OPENAI_API_KEY"),
    ("aws:ec2/instance:Instance", {"userDataBase64": base64.b64encode(gzip.compress(SCRIPT.encode())).decode()}, "KEY"),
    ("aws:ec2/instance:Instance", {"userData": f"#!/bin/bash\necho 'ubuntu:{SECRET}' | chpasswd\n"}, "chpasswd"),
    ("aws:ec2/instance:Instance", {"userData": f"#!/bin/bash\nPGPASSWORD={SECRET} psql -h db\n"}, "PGPASSWORD"),
    (
        "aws:ec2/instance:Instance",
        {"userData": f"#cloud-config\nwrite_files:\n- content: |\n    password: {SECRET}\n"},
        "password",
    ),
    ("aws:ec2/instance:Instance", {"userData": f'curl -H "Authorization: Bearer {SECRET}" https://x.io'}, "Authorization"),
    (
        "aws:ec2/instance:Instance",
        {"userData": f"#!/bin/bash\necho hi\nmysql -u chat --password='{SECRET}' chat\n"},
        "--password",
    ),
    ("aws:ec2/instance:Instance", {"userData": f"<powershell>\n$env:OPENAI_API_KEY = '{SECRET}'\n</powershell>"}, "KEY"),
    ("aws:ec2/launchTemplate:LaunchTemplate", {"userData": base64_of(SCRIPT)}, "OPENAI_API_KEY"),
    ("aws:ec2/launchConfiguration:LaunchConfiguration", {"userData": SCRIPT}, "OPENAI_API_KEY"),
    ("aws:ec2/spotInstanceRequest:SpotInstanceRequest", {"userDataBase64": base64_of(SCRIPT)}, "OPENAI_API_KEY"),
    ("aws:ec2/spotFleetRequest:SpotFleetRequest", {"launchSpecifications": [{"userData": SCRIPT}]}, "OPENAI_API_KEY"),
    ("aws:lightsail/instance:Instance", {"userData": SCRIPT}, "OPENAI_API_KEY"),
    ("aws:imagebuilder/component:Component", {"data": f"phases:\n- commands:\n  - export HF_TOKEN={SECRET}\n"}, "HF_TOKEN"),
    ("aws:ssm/parameter:Parameter", {"name": "/chat/openai-api-key", "type": "String", "value": SECRET}, "SecureString"),
    ("aws:ssm/parameter:Parameter", {"name": "/chat/settings", "type": "String", "value": TOKEN}, "a GitHub token"),
    ("aws:ssm/parameter:Parameter", {"type": "String", "insecureValue": JWT}, "a JSON Web Token"),
    ("aws:ssm/parameter:Parameter", {"type": "String", "value": json.dumps({"db": {"password": SECRET}})}, "password"),
    ("aws:ssm/document:Document", {"content": json.dumps({"mainSteps": [{"inputs": {"runCommand": [SCRIPT]}}]})}, "KEY"),
    ("kubernetes:apps/v1:Deployment", pod(env=PAIR), "containers[0].env[0].value"),
    ("kubernetes:apps/v1:Deployment", pod(args=["--model", "m", "--api-key", SECRET]), "--api-key"),
    ("kubernetes:apps/v1:Deployment", pod(command=["bash", "-c", f"export HF_TOKEN={SECRET} && vllm serve m"]), "HF_TOKEN"),
    ("kubernetes:core/v1:Pod", {"spec": {"initContainers": [container(env=PAIR)]}}, "initContainers[0]"),
    (
        "kubernetes:batch/v1:CronJob",
        {"spec": {"jobTemplate": {"spec": {"template": {"spec": {"containers": [container(env=PAIR)]}}}}}},
        "env[0]",
    ),
    ("kubernetes:core/v1:ConfigMap", {"data": {"LITELLM_MASTER_KEY": SECRET}}, "LITELLM_MASTER_KEY"),
    ("kubernetes:core/v1:ConfigMap", {"data": {"config.yaml": f"general_settings:\n  master_key: {SECRET}\n"}}, "master_key"),
    ("kubernetes:helm.sh/v3:Release", {"values": {"auth": {"rootPassword": SECRET}}}, "rootPassword"),
    ("kubernetes:helm.sh/v4:Chart", {"values": {"env": PAIR}}, "env[0].value"),
    ("aws:sfn/stateMachine:StateMachine", states(Parameters={"Headers": {"x-api-key": SECRET}}), "x-api-key"),
    (
        "aws:sfn/stateMachine:StateMachine",
        states(Parameters={"Overrides": {"ContainerOverrides": [{"Environment": [{"Name": "HF_TOKEN", "Value": SECRET}]}]}}),
        "Environment[0].Value",
    ),
    ("aws:glue/job:Job", {"defaultArguments": {"--DB_PASSWORD": SECRET}}, "DB_PASSWORD"),
    ("aws:glue/connection:Connection", {"connectionProperties": {"USERNAME": "chat", "PASSWORD": SECRET}}, "PASSWORD"),
    ("aws:amplify/app:App", {"environmentVariables": VARIABLES}, "OPENAI_API_KEY"),
    ("aws:amplify/branch:Branch", {"environmentVariables": VARIABLES}, "OPENAI_API_KEY"),
    (
        "aws:elasticbeanstalk/environment:Environment",
        {"settings": [{"namespace": "aws:elasticbeanstalk:application:environment", "name": "DB_PASS", "value": SECRET}]},
        "settings[0].value",
    ),
    (
        "aws:lightsail/containerServiceDeploymentVersion:ContainerServiceDeploymentVersion",
        {"containers": [{"environment": VARIABLES}]},
        "KEY",
    ),
    ("aws:synthetics/canary:Canary", {"runConfig": {"environmentVariables": VARIABLES}}, "OPENAI_API_KEY"),
    ("aws:mwaa/environment:Environment", {"airflowConfigurationOptions": {"smtp.smtp_password": SECRET}}, "smtp_password"),
    ("aws:bedrock/agentcoreAgentRuntime:AgentcoreAgentRuntime", {"environmentVariables": VARIABLES}, "OPENAI_API_KEY"),
    ("aws:apigateway/stage:Stage", {"variables": {"apiKey": SECRET}}, "apiKey"),
    (
        "aws:apigateway/integration:Integration",
        {"requestParameters": {"integration.request.header.x-api-key": f"'{SECRET}'"}},
        "x-api-key",
    ),
    ("aws:scheduler/schedule:Schedule", {"target": {"input": json.dumps({"api_key": SECRET})}}, "api_key"),
    (
        "aws:cloudwatch/eventTarget:EventTarget",
        {"input": json.dumps({"headers": {"Authorization": f"Bearer {SECRET}"}})},
        "Authorization",
    ),
    (
        "aws:codepipeline/pipeline:Pipeline",
        {"stages": [{"actions": [{"configuration": {"OAuthToken": SECRET}}]}]},
        "OAuthToken",
    ),
    ("aws:cloudfront/function:Function", {"code": f"const API_KEY = '{SECRET}';\nfunction handler(event) {{}}"}, "API_KEY"),
    ("aws:cloudformation/stack:Stack", {"parameters": {"DbPassword": SECRET}}, "DbPassword"),
]

# Names whose value is a secret, whatever it looks like; and values that are secrets under any name.
NAMES = [
    *("OPENAI_KEY", "DB_PASS", "SMTP_PASS", "DB_PASSWORD", "PGPASSWORD", "MYSQL_PWD", "spring.datasource.password", "hfToken"),
    *("API_KEY_PROD", "API_KEYS", "API_KEY_B64", "CLIENT_SECRET", "JWT_SIGNING_KEY", "SESSION_KEY", "REDIS_AUTH", "STRIPE_KEY"),
    *("DJANGO_SECRET_KEY", "ADMIN_PASSWORD_2", "COHERE_API_KEY_VALUE", "ENCRYPTION_KEY", "BASIC_AUTH_PASSPHRASE", "authtoken"),
]
VALUES = [
    *(JWT, f"Bearer {JWT}", TOKEN, "github_pat_" + "a1B2_" * 9, "glpat-" + "a1B2" * 5, "xoxb-1234567890-abcdefghij"),
    *("AKIA" + "Q3EGRZ7XABCDEFGH", "sk-" + "a1b2" * 10, "sk-proj-Ab1_Cd2-Ef3_Gh4-Ij5", "sk-ant-api03-" + "aB3-" * 8),
    *("hf_" + "aBcDeFgHiJkLmNoPqRsTuVwXyZ", "gsk_" + "a1B2" * 10, "r8_" + "a1B2" * 9, "nvapi-" + "a1B2" * 10),
    *("AIza" + "a1B2c3D" * 5, "SG." + "a1B2" * 5 + "." + "a1B2" * 10, "sk_live_" + "a1B2" * 6, "npm_" + "a1B2" * 9),
    *("pypi-AgEIcHlwaS5vcmc" + "a1B2" * 10, "hvs." + "a1B2" * 6, "dckr_pat_" + "a1B2" * 6, "pul-" + "0a1b2c3d" * 5),
    *("postgres://chat:Zr8Kq2vL@db/chat", "redis://:Zr8Kq2vL@cache:6379", "mongodb+srv://chat:Zr8Kq2vL@c.mongodb.net/"),
    *("Server=db;Database=chat;User Id=chat;Password=Zr8Kq2vL;", "host=db user=chat password=Zr8Kq2vL dbname=chat"),
    *("jdbc:postgresql://db/chat?user=chat&password=Zr8Kq2vL", "AccountName=chat;AccountKey=Zr8Kq2vLw9XcZr8Kq2vLw9Xc=="),
    *(
        "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaA",
        "https://hooks.slack.com/services/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",
    ),
    *('{"type": "service_account", "private_key": "-----BEGIN PRIVATE KEY-----\\nMII"}', "ASIA" + "Q3EGRZ7XABCDEFGH"),
]

# What is no secret: an environment's variables.
FINE: list[dict[str, str]] = [
    {"EOS_TOKEN": "<|endoftext|>", "PAD_TOKEN": "[PAD]", "STOP_TOKEN": "###", "BOS_TOKEN": "<s>", "CSRF_TOKEN": "X-CSRF-Token"},
    {"XSRF_TOKEN_NAME": "xsrf", "MAX_TOKENS": "4096", "IMAGE_TOKEN": "<image>", "NEXT_TOKEN": "page", "TOKEN": "12"},
    {"JWT_PUBLIC_KEY": "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkq", "SSH_KEY": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5 ops"},
    {
        "API_KEY": "arn:aws:secretsmanager:us-east-1:123456789012:secret:chat/key-AbC123",
        "DB_PASS": "{{resolve:ssm-secure:/db:1}}",
    },
    {"API_KEY": "/chat/prod/api-key", "OPENAI_API_KEY": "ssm:/chat/openai", "TOKEN": "https://sts.example.com/token"},
    {"PARTITION_KEY": "pk", "SORT_KEY": "createdAt", "S3_KEY": "models/llama/weights.safetensors", "CACHE_KEY": "chat-v1"},
    {"KMS_KEY": "alias/chat", "ENCRYPTION_KEY": "1234abcd-12ab-34cd-56ef-1234567890ab", "FEATURE_FLAG_KEY": "new-chat-window"},
    {"API_KEY_HEADER": "x-api-key", "SECRET_NAME": "chat", "TOKEN_URL": "https://x.io/t", "PASSWORD_MIN_LENGTH": "12"},
    {"BYPASS": "on", "COMPASS": "north", "REQUIRE_PASSWORD": "true", "PWD": "/app", "AUTH": "IAM", "PASSES": "3"},
    {"REDIS_URL": "rediss://cache.internal:6379/0", "DATABASE_URL": "postgres://chat@db/chat", "HOST": "https://x.io/a:b@c"},
    {"DATABASE_URL": "postgres://chat:${DB_PASSWORD}@db/chat", "DSN": "host=db password=$PGPASSWORD", "KEYS": "a,b"},
    {"STRIPE_PUBLISHABLE_KEY": "pk_live_abcdefghij0123456789", "VITE_FIREBASE_API_KEY": "AIza" + "a1B2c3D" * 5},
    {"IMAGE": "sk-learn-inference-container-image", "MODEL": "task-sk-learn-classifier-with-long-name", "KEY": "model"},
    {
        "AUTHORIZATION": "api_key",
        "TOKENIZER_TOKEN": "",
        "API_KEY": "${API_KEY}",
        "SIGNING_KEY": "kms://alias/chat",
        "A": "sk-1",
    },
]
# Other good programs.
GOOD: list[tuple[str, dict[str, Any]]] = [
    (
        "aws:ecs/taskDefinition:TaskDefinition",
        {
            "containerDefinitions": json.dumps(
                [container(secrets=[{"name": "API_KEY", "valueFrom": "arn:aws:ssm:us-east-1:123456789012:parameter/key"}])]
            )
        },
    ),
    (
        "aws:codebuild/project:Project",
        {"environment": {"environmentVariables": [pair("TOKEN", "npm-token", type="PARAMETER_STORE")]}},
    ),
    (
        "aws:codebuild/project:Project",
        {
            "source": {
                "buildspec": "env:\n  variables:\n    STAGE: prod\n  secrets-manager:\n    NPM_TOKEN: build:npm\n"
                "  parameter-store:\n    DB_PASSWORD: DbPassword\nphases:\n  build:\n    commands:\n      - npm ci\n"
            }
        },
    ),
    ("aws:ssm/parameter:Parameter", {"name": "/chat/api-key", "type": "SecureString", "value": SECRET}),
    ("aws:ssm/parameter:Parameter", {"name": "/chat/api-key-arn", "type": "String", "value": "arn:aws:secretsmanager:x"}),
    (
        "aws:ec2/instance:Instance",
        {
            "userData": "#!/bin/bash\nset -euo pipefail\nTOKEN=$(curl -X PUT http://169.254.169.254/latest/api/token)\n"
            'export API_KEY="$(aws secretsmanager get-secret-value --secret-id chat/key)"\n'
            'curl -H "X-aws-ec2-metadata-token: $TOKEN" -H "Authorization: Bearer $API_KEY" http://x\n'
            'PASSWORD=`openssl rand -hex 16`\necho api key: see the wiki\nif [ -z "$TOKEN" ]; then exit 1; fi\n'
            "docker run -u 1000:1000 -e HF_TOKEN -e API_KEY=${API_KEY} chat\naws configure set aws_session_token $T\n"
        },
    ),
    ("aws:ec2/launchTemplate:LaunchTemplate", {"userData": base64_of("[settings.kubernetes]\ncluster-name = 'chat'\n")}),
    ("kubernetes:apps/v1:Deployment", pod(args=["--api-key", "$(VLLM_API_KEY)", "--eos-token", "</s>"])),
    ("kubernetes:apps/v1:Deployment", pod(env=[{"name": "K", "valueFrom": {"secretKeyRef": {"name": "s", "key": "api-key"}}}])),
    (
        "kubernetes:core/v1:ConfigMap",
        {"data": {"ca.crt": "-----BEGIN CERTIFICATE-----\nMII", "nginx.conf": "proxy_cache_key $uri;"}},
    ),
    ("kubernetes:helm.sh/v3:Release", {"values": {"existingSecret": "db-auth", "imagePullSecrets": [{"name": "regcred"}]}}),
    (
        "aws:sfn/stateMachine:StateMachine",
        states(Parameters={"TaskToken.$": "$$.Task.Token", "token": "$.token", "Key": {"id": {"S.$": "$.id"}}}),
    ),
    ("aws:sfn/stateMachine:StateMachine", states(Arguments={"TaskToken": "{% $states.context.Task.Token %}"})),
    (
        "aws:apigateway/integration:Integration",
        {"requestParameters": {"integration.request.header.x-api-key": "method.request.header.k"}},
    ),
    (
        "aws:glue/connection:Connection",
        {"connectionProperties": {"SECRET_ID": "chat/db", "JDBC_CONNECTION_URL": "jdbc:x://db"}},
    ),
]


@pytest.mark.parametrize(("kind", "properties", "part"), PLACES)
def test_a_secret_is_found_wherever_text_runs(kind: str, properties: dict[str, Any], part: str) -> None:
    lines = judged(kind, properties)
    assert len(lines) == 1, lines
    assert part in lines[0]
    assert not any(secret in lines[0] for secret in (SECRET, TOKEN, JWT))


@pytest.mark.parametrize("name", NAMES)
def test_a_name_tells_a_secret(name: str) -> None:
    assert len(judged(LAMBDA, {"environment": {"variables": {name: SECRET}}})) == 1


@pytest.mark.parametrize("value", VALUES)
def test_a_shape_tells_a_secret_in_a_value_and_in_a_text(value: str) -> None:
    assert len(judged(LAMBDA, {"environment": {"variables": {"A": value}}})) == 1
    assert len(judged("aws:ec2/instance:Instance", {"userData": f"#!/bin/sh\n/opt/serve '{value}'\n"})) == 1


@pytest.mark.parametrize("variables", FINE)
def test_what_only_looks_like_a_secret_is_none(variables: dict[str, str]) -> None:
    assert judged(LAMBDA, {"environment": {"variables": variables}}) == []
    script = "".join(f"export {name}='{value}'\n" for name, value in variables.items() if not name.startswith("VITE_"))
    assert judged("aws:ec2/instance:Instance", {"userData": script}) == []


@pytest.mark.parametrize(("kind", "properties"), GOOD)
def test_what_refers_to_a_secret_is_fine(kind: str, properties: dict[str, Any]) -> None:
    assert judged(kind, properties) == []


@pytest.mark.parametrize("kind", sorted({kind for rule in secrets_in_settings.RULES for kind in rule.types}))
def test_any_shape_of_properties_is_read(kind: str) -> None:
    odd: list[Any] = [UNKNOWN, None, 7, True, "", "{", "[1]", [], {}, [[]], [None, UNKNOWN], {"name": 1, "value": [2]}]
    rule = next(rule for rule in secrets_in_settings.RULES if rule.looks_at(kind))
    for path in secrets_in_settings.places(kind):
        for value in odd:
            data: Any = value
            for name in reversed(path.split(".")):
                data = {name.removesuffix("[]"): [data] if name.endswith("[]") else data}
            assert problems(rule, resource(kind, data)) == []
        assert path in {"", None} or unverified(rule, resource(kind, {path.split(".")[0].removesuffix("[]"): UNKNOWN}))
