"""AWS AppConfig: the configurations that the program makes, and both of its APIs, on the real wire protocol.

The control plane takes new versions of a hosted configuration and deploys them, which the AWS CLI and boto3 do unchanged. The
data plane answers the functions: a token is good for one call, which must not come before its time, and an answer is empty
where the configuration is as it was. Documents are held against the profile's validators when they are deployed, and when a
caller asks for that.
https://docs.aws.amazon.com/appconfig/latest/userguide/appconfig-creating-configuration-and-profile-validators.html

What a deployment changes is there for everyone at once, whatever the strategy's growth; until its duration and its bake time
are over, the environment takes no other one. Not played: alarms, reverts, Lambda validators, feature flag profiles.
"""

import json
import math
import re
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from pulumi_llm_local.program.graph import Graph
from pulumi_llm_local.services.local_run import LocalRun
from pulumi_llm_local.services.signature import Credentials, SignatureError, verify_signature

APPLICATION = "aws:appconfig/application:Application"
ENVIRONMENT = "aws:appconfig/environment:Environment"
PROFILE = "aws:appconfig/configurationProfile:ConfigurationProfile"
STRATEGY = "aws:appconfig/deploymentStrategy:DeploymentStrategy"
VERSION = "aws:appconfig/hostedConfigurationVersion:HostedConfigurationVersion"
DEPLOYMENT = "aws:appconfig/deployment:Deployment"
PLAYED = frozenset({APPLICATION, ENVIRONMENT, PROFILE, STRATEGY, VERSION, DEPLOYMENT})
IMPLIED = frozenset[str]()
# The variables by which every AWS SDK finds the two APIs.
CONTROL, DATA = "AWS_ENDPOINT_URL_APPCONFIG", "AWS_ENDPOINT_URL_APPCONFIGDATA"
# https://docs.aws.amazon.com/general/latest/gr/appconfig.html
_MOST_BYTES = 2 * 1024 * 1024
_TOKEN_SECONDS = 24 * 3_600.0
# Seconds after which a function of a local run may ask again, so that nobody waits for a minute there. AWS answers with the
# seconds that were asked for, and may answer with others.
_LOCAL_SECONDS = 2.0
# The strategies that every account has, with the minutes of their deployment and of their bake time.
# https://docs.aws.amazon.com/appconfig/latest/userguide/appconfig-creating-deployment-strategy-predefined.html
_PREDEFINED = {
    "AppConfig.AllAtOnce": (0, 10),
    "AppConfig.Linear50PercentEvery30Seconds": (1, 1),
    "AppConfig.Canary10Percent20Minutes": (20, 10),
}


async def start(run: LocalRun) -> None:
    """Serve it before the functions start, where the program makes such a configuration."""
    if not any(True for _ in run.graph.of_type(PROFILE)):
        return
    url = await run.serve(application(AppConfig.of(run.graph, _LOCAL_SECONDS), run.graph.region, run.key))
    run.variables |= {CONTROL: url, DATA: url}
    run.appconfig |= {**run.aws_variables(), CONTROL: url, DATA: url}


def application(service: "AppConfig", region: str, credentials: Credentials) -> web.Application:
    """Return both APIs in one Region, for the one who has these keys."""

    async def handle(request: web.Request) -> web.Response:
        body = await request.read()
        try:
            verify_signature(request, body, region, credentials, "appconfig")
        except SignatureError as error:
            return web.json_response({"message": error.message}, status=403, headers={"x-amzn-errortype": error.code})
        return service.answer(request, body)

    app = web.Application(client_max_size=2 * _MOST_BYTES)
    app.router.add_route("*", "/{path:.*}", handle)
    return app


class AppConfigError(Exception):
    """What AppConfig refuses."""

    def __init__(self, status: int, code: str, message: str, **details: Any) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.body = {"Message": message, **details}


@dataclass(frozen=True)
class Version:
    number: int
    content: bytes
    content_type: str
    description: str = ""
    label: str = ""


@dataclass
class Profile:
    application: str
    id: str
    name: str
    schemas: Sequence[str]
    versions: dict[int, Version] = field(default_factory=dict[int, Version])

    def version(self, name: str) -> Version:
        """Return a version by its number or its label."""
        for each in self.versions.values():
            if name in (str(each.number), each.label):
                return each
        raise _not_found("ConfigurationVersion", name)

    def check(self, version: Version) -> None:
        """Hold a document against the validators."""
        import jsonschema_rs

        try:
            document = json.loads(version.content)
        except ValueError:
            raise _invalid(
                [{"Constraint": "json", "Location": "", "Reason": "The content is not JSON.", "Value": ""}]
            ) from None
        found = [
            {
                "Constraint": str(each.schema_path[-1]) if each.schema_path else "",
                "Location": "".join(f"/{part}" for part in each.instance_path),
                "Reason": each.message,
                "Type": "JSON_SCHEMA",
            }
            for schema in self.schemas
            for each in jsonschema_rs.Draft4Validator(json.loads(schema)).iter_errors(document)
        ]
        if found:
            raise _invalid(found)


@dataclass(frozen=True)
class Deployment:
    number: int
    profile: Profile
    version: Version
    strategy: str
    minutes: tuple[float, float]
    started: float
    description: str = ""

    def state(self, now: float) -> str:
        duration, bake = (60 * each for each in self.minutes)
        if now < self.started + duration:
            return "DEPLOYING"
        return "BAKING" if now < self.started + duration + bake else "COMPLETE"


@dataclass(frozen=True)
class _Session:
    """What a token stands for. `seen` is the number of the last version that was answered."""

    environment: tuple[str, str]
    profile: Profile
    interval: float
    not_before: float
    expires: float
    seen: int | None = None


class AppConfig:
    """All configurations of an account in a Region.

    `most_seconds` is the longest interval between two calls of a session. `clock` gives seconds since the epoch.
    """

    def __init__(self, most_seconds: float = math.inf, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self._most_seconds = most_seconds
        self.applications: dict[str, str] = {}  # the name by the id
        self.environments: dict[tuple[str, str], str] = {}
        self.profiles: dict[tuple[str, str], Profile] = {}
        self.strategies: dict[str, tuple[float, float]] = dict(_PREDEFINED)
        self.deployments: dict[tuple[str, str], list[Deployment]] = {}
        self._sessions: dict[str, _Session] = {}

    @classmethod
    def of(cls, graph: Graph, most_seconds: float) -> "AppConfig":
        """Return the service with what the program makes."""
        service = cls(most_seconds)
        for each in graph.of_type(APPLICATION):
            service.applications[each.id] = each.state["name"]
        for each in graph.of_type(ENVIRONMENT):
            service.environments[each.state["applicationId"], each.state["environmentId"]] = each.state["name"]
        for each in graph.of_type(PROFILE):
            key = each.state["applicationId"], each.state["configurationProfileId"]
            schemas = [one["content"] for one in each.state.get("validators") or () if one["type"] == "JSON_SCHEMA"]
            service.profiles[key] = Profile(*key, each.state["name"], schemas)
        for each in graph.of_type(STRATEGY):
            state = each.state
            service.strategies[each.id] = state["deploymentDurationInMinutes"], state.get("finalBakeTimeInMinutes") or 0
        for each in graph.of_type(VERSION):
            profile = service.profiles[each.state["applicationId"], each.state["configurationProfileId"]]
            service.add_version(profile, each.state["content"].encode(), each.state["contentType"])
        for each in graph.of_type(DEPLOYMENT):
            state = each.state
            service.deploy(
                (state["applicationId"], state["environmentId"]),
                service.profiles[state["applicationId"], state["configurationProfileId"]],
                str(state["configurationVersion"]),
                state["deploymentStrategyId"],
            )
        return service

    def add_version(
        self, profile: Profile, content: bytes, content_type: str, description: str = "", label: str = ""
    ) -> Version:
        if len(content) > _MOST_BYTES:
            raise AppConfigError(413, "PayloadTooLargeException", "The configuration is too large", Limit=_MOST_BYTES)
        number = max(profile.versions, default=0) + 1
        made = profile.versions[number] = Version(number, content, content_type, description, label)
        return made

    def deploy(
        self, environment: tuple[str, str], profile: Profile, version: str, strategy: str, description: str = ""
    ) -> Deployment:
        if environment not in self.environments:
            raise _not_found("Environment", environment[1])
        if strategy not in self.strategies:
            raise _not_found("DeploymentStrategy", strategy)
        deployments = self.deployments.setdefault(environment, [])
        if deployments and deployments[-1].state(self.clock()) != "COMPLETE":
            raise AppConfigError(409, "ConflictException", "Deployment already in progress")
        chosen = profile.version(version)
        profile.check(chosen)
        number = len(deployments) + 1
        made = Deployment(number, profile, chosen, strategy, self.strategies[strategy], self.clock(), description)
        deployments.append(made)
        return made

    # The APIs.

    def answer(self, request: web.Request, body: bytes) -> web.Response:
        path = request.raw_path.partition("?")[0]
        try:
            for method, pattern, operation in _OPERATIONS:
                match = re.fullmatch(pattern, path)
                if match and method == request.method:
                    return operation(self, request, body, *map(unquote, match.groups()))
            raise AppConfigError(404, "UnknownOperationException", f"{request.method} {path} is not played here")
        except AppConfigError as error:
            return web.json_response(error.body, status=error.status, headers={"x-amzn-errortype": error.code})

    def _application(self, name: str) -> str:
        return _by_id_or_name(self.applications, name, "Application")

    def _profile(self, application: str, name: str) -> Profile:
        application = self._application(application)
        names = {id: profile.name for (of, id), profile in self.profiles.items() if of == application}
        return self.profiles[application, _by_id_or_name(names, name, "ConfigurationProfile")]

    def _environment(self, application: str, name: str) -> tuple[str, str]:
        application = self._application(application)
        names = {id: known for (of, id), known in self.environments.items() if of == application}
        return application, _by_id_or_name(names, name, "Environment")

    def create_version(self, request: web.Request, body: bytes, application: str, profile: str) -> web.Response:
        found, headers = self._profile(application, profile), request.headers
        latest = headers.get("Latest-Version-Number")
        if latest is not None and latest != str(max(found.versions, default=0)):
            raise AppConfigError(409, "ConflictException", "LatestVersionNumber is not that of the latest version")
        label = headers.get("VersionLabel", "")
        if label and any(each.label == label for each in found.versions.values()):
            raise AppConfigError(409, "ConflictException", f"The version label {label} is there already")
        content_type = headers.get("Content-Type", "application/octet-stream")
        made = self.add_version(found, body, content_type, headers.get("Description", ""), label)
        return _version_response(found, made, 201)

    def get_version(self, _: web.Request, __: bytes, application: str, profile: str, number: str) -> web.Response:
        found = self._profile(application, profile)
        return _version_response(found, found.version(number), 200)

    def list_versions(self, _: web.Request, __: bytes, application: str, profile: str) -> web.Response:
        found = self._profile(application, profile)
        items = [
            {
                "ApplicationId": found.application,
                "ConfigurationProfileId": found.id,
                "VersionNumber": each.number,
                "ContentType": each.content_type,
                **({"Description": each.description} if each.description else {}),
                **({"VersionLabel": each.label} if each.label else {}),
            }
            for each in reversed(found.versions.values())
        ]
        return web.json_response({"Items": items})

    def validate(self, request: web.Request, _: bytes, application: str, profile: str) -> web.Response:
        found = self._profile(application, profile)
        found.check(found.version(request.query.get("configuration_version", "")))
        return web.Response(status=204)

    def start_deployment(self, _: web.Request, body: bytes, application: str, environment: str) -> web.Response:
        asked: Mapping[str, Any] = json.loads(body or b"{}")
        key = self._environment(application, environment)
        profile = self._profile(application, str(asked["ConfigurationProfileId"]))
        version, strategy = str(asked["ConfigurationVersion"]), str(asked["DeploymentStrategyId"])
        made = self.deploy(key, profile, version, strategy, str(asked.get("Description", "")))
        return web.json_response(self._described(key, made), status=201)

    def get_deployment(self, _: web.Request, __: bytes, application: str, environment: str, number: str) -> web.Response:
        key = self._environment(application, environment)
        for each in self.deployments.get(key, ()):
            if str(each.number) == number:
                return web.json_response(self._described(key, each))
        raise _not_found("Deployment", number)

    def list_deployments(self, _: web.Request, __: bytes, application: str, environment: str) -> web.Response:
        key = self._environment(application, environment)
        described = [self._described(key, each) for each in reversed(self.deployments.get(key, []))]
        own = ("ApplicationId", "EnvironmentId", "DeploymentStrategyId", "Description")
        return web.json_response({"Items": [{k: v for k, v in each.items() if k not in own} for each in described]})

    def _described(self, environment: tuple[str, str], deployment: Deployment) -> dict[str, Any]:
        duration, bake = deployment.minutes
        state = deployment.state(self.clock())
        return {
            "ApplicationId": environment[0],
            "EnvironmentId": environment[1],
            "DeploymentStrategyId": deployment.strategy,
            "ConfigurationProfileId": deployment.profile.id,
            "DeploymentNumber": deployment.number,
            "ConfigurationName": deployment.profile.name,
            "ConfigurationVersion": str(deployment.version.number),
            **({"Description": deployment.description} if deployment.description else {}),
            "DeploymentDurationInMinutes": duration,
            "FinalBakeTimeInMinutes": bake,
            "State": state,
            "PercentageComplete": 0.0 if state == "DEPLOYING" else 100.0,
            "StartedAt": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(deployment.started)),
        }

    def start_session(self, _: web.Request, body: bytes) -> web.Response:
        asked: Mapping[str, Any] = json.loads(body or b"{}")
        application = str(asked["ApplicationIdentifier"])
        environment = self._environment(application, str(asked["EnvironmentIdentifier"]))
        profile = self._profile(application, str(asked["ConfigurationProfileIdentifier"]))
        interval = float(asked.get("RequiredMinimumPollIntervalInSeconds", 15))
        if not 15 <= interval <= 86_400:
            raise AppConfigError(400, "BadRequestException", "RequiredMinimumPollIntervalInSeconds must be 15 to 86400")
        now = self.clock()
        interval = min(interval, self._most_seconds)
        token = self._remember(_Session(environment, profile, interval, now, now + _TOKEN_SECONDS))
        return web.json_response({"InitialConfigurationToken": token}, status=201)

    def latest(self, request: web.Request, _: bytes) -> web.Response:
        session = self._sessions.pop(request.query.get("configuration_token", ""), None)
        now = self.clock()
        if session is None:
            raise _bad_token("Corrupted")  # a token that was used is as one that never was
        if now > session.expires:
            raise _bad_token("Expired")
        if now < session.not_before:
            raise _bad_token("PollIntervalNotSatisfied")
        deployed = [each for each in self.deployments.get(session.environment, ()) if each.profile is session.profile]
        if not deployed:
            raise _not_found("Deployment", session.environment[1])
        version = deployed[-1].version
        token = self._remember(
            _Session(
                session.environment,
                session.profile,
                session.interval,
                now + session.interval,
                now + _TOKEN_SECONDS,
                version.number,
            )
        )
        headers = {
            "Next-Poll-Configuration-Token": token,
            "Next-Poll-Interval-In-Seconds": str(math.ceil(session.interval)),
            "Content-Type": version.content_type,
        }
        if version.number == session.seen:
            return web.Response(headers=headers)
        return web.Response(body=version.content, headers={**headers, "Version-Label": version.label})

    def _remember(self, session: _Session) -> str:
        token = secrets.token_urlsafe(96) + "=="
        self._sessions[token] = session
        return token


_Operation = Callable[..., web.Response]
_APPLICATION = r"/applications/([^/]+)"
_VERSIONS = rf"{_APPLICATION}/configurationprofiles/([^/]+)/hostedconfigurationversions"
_DEPLOYMENTS = rf"{_APPLICATION}/environments/([^/]+)/deployments"
_OPERATIONS: Sequence[tuple[str, str, _Operation]] = (
    ("POST", "/configurationsessions", AppConfig.start_session),
    ("GET", "/configuration", AppConfig.latest),
    ("POST", _VERSIONS, AppConfig.create_version),
    ("GET", _VERSIONS, AppConfig.list_versions),
    ("GET", rf"{_VERSIONS}/([^/]+)", AppConfig.get_version),
    ("POST", rf"{_APPLICATION}/configurationprofiles/([^/]+)/validators", AppConfig.validate),
    ("POST", _DEPLOYMENTS, AppConfig.start_deployment),
    ("GET", _DEPLOYMENTS, AppConfig.list_deployments),
    ("GET", rf"{_DEPLOYMENTS}/([^/]+)", AppConfig.get_deployment),
)


def _by_id_or_name(known: Mapping[str, str], name: str, kind: str) -> str:
    for id, called in known.items():
        if name in (id, called):
            return id
    raise _not_found(kind, name)


def _version_response(profile: Profile, version: Version, status: int) -> web.Response:
    headers = {
        "Application-Id": profile.application,
        "Configuration-Profile-Id": profile.id,
        "Version-Number": str(version.number),
        "Content-Type": version.content_type,
        **({"Description": version.description} if version.description else {}),
        **({"VersionLabel": version.label} if version.label else {}),
    }
    return web.Response(body=version.content, status=status, headers=headers)


def _not_found(kind: str, name: str) -> AppConfigError:
    return AppConfigError(404, "ResourceNotFoundException", f"{kind} {name} was not found", ResourceType=kind)


def _invalid(found: Sequence[Mapping[str, Any]]) -> AppConfigError:
    return AppConfigError(
        400,
        "BadRequestException",
        "Error validating configuration: it does not satisfy the validators",
        Reason="InvalidConfiguration",
        Details={"InvalidConfiguration": list(found)},
    )


def _bad_token(problem: str) -> AppConfigError:
    return AppConfigError(
        400,
        "BadRequestException",
        "Request contains invalid parameters",
        Reason="InvalidParameters",
        Details={"InvalidParameters": {"ConfigurationToken": {"Problem": problem}}},
    )
