"""The description of a served model: which model, how much of it, on which pool."""

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from pulumi_llm.base.settings import Between, Count, Flag, Input, KmsKeyArn, Name, Number, Problem, Settings, form, ipv4_range
from pulumi_llm.models.catalogue import ModelError, WeightFormat, catalogue, find
from pulumi_llm.models.hugging_face import ConfigError, OpenModel, read_config

# The name of a served model begins those of its Services, so it is bound as theirs are (RFC 1035), and leaves room for what is
# put behind it. https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#rfc-1035-label-names
# vLLM takes `/NAME` away from the paths that begin with it, so the probes of a model with such a name would find nothing.
_PROBED: Final = ("health", "metrics", "v1")


def _unlike_a_path(name: str) -> str:
    if name in _PROBED:
        raise ValueError(f"{name!r} begins a path of the servers' own; give another name")
    return name


ModelName = Annotated[
    str,
    form(r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?", "a name: small letters, digits and '-', a letter first, at most 40"),
    AfterValidator(_unlike_a_path),
]

_Image = Annotated[
    str,
    form(
        r"[a-z0-9.-]+(:\d+)?(/[a-z0-9._-]+)+(:[\w.-]+)?@sha256:[0-9a-f]{64}",
        "an image with its digest, such as docker.io/vllm/vllm-openai:v0.33.0@sha256:…; a tag alone may change",
    ),
]
# `--shutdown-timeout` needs 0.18; the other arguments were compared with this release.
_OLDEST_VLLM: Final = (0, 33)
_Revision = Annotated[str, form(r"[0-9a-f]{40}", "a commit, 40 digits such as git shows them; a branch or a tag may change")]
_Repository = Annotated[str, form(r"[\w.-]+/[\w.-]+", "a repository of Hugging Face, such as Qwen/Qwen3-32B")]
_WeightsUri = Annotated[
    str,
    # No bucket as a whole, and no "*" or "..": the servers may read what is below it.
    form(
        r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/(?!\.\.?(/|$))[\w!.'()-]+)+/?",
        "a folder in S3, such as s3://BUCKET/models/qwen3-32b",
    ),
]


def _range(text: str) -> str:
    return str(ipv4_range(text, "203.0.113.0/24"))


_Range = Annotated[str, AfterValidator(_range)]
_SecretName = Annotated[
    str, form(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", "the name of a Kubernetes Secret, such as hub-token")
]

# The arguments of vLLM that follow from other settings, or without which probes, drain and balancer do not work.
OWN_ARGUMENTS: Final = {
    "--model": "model",
    "--served-model-name": "the model's name here",
    "--revision": "revision",
    "--tokenizer-revision": "revision",
    "--load-format": "weights_uri",
    "--model-loader-extra-config": "weights_uri",
    "--quantization": "weights",
    "--max-model-len": "context",
    "--tensor-parallel-size": "tensor_parallel",
    "--gpu-memory-utilization": "the sizing",
    "--root-path": "the balancer",
    "--host": "the balancer",
    "--port": "the balancer",
    "--ssl-keyfile": "the balancer",
    "--ssl-certfile": "the balancer",
    "--middleware": "the balancer",
    "--api-key": "the balancer, for it would leave other paths open; who may call is decided by security groups",
    "--shutdown-timeout": "the drain",
    "--hf-token": "hub_token_secret, for arguments stand in clear in Pulumi's state and in the cluster",
    "--tokenizer": "the model's repository or weights_uri",
    "--hf-config-path": "the model's repository or weights_uri",
    "--config": "arguments",
    "--allowed-media-domains": "the gateway, which sends no addresses of media",
    "--allowed-local-media-path": "the gateway, which sends no addresses of media",
}
# https://huggingface.co/docs/hub/security-tokens
_HUB_TOKEN: Final = re.compile(r"hf_[A-Za-z0-9]{20,}")
_REMOTE_CODE, _CODE_REVISION = "--trust-remote-code", "--code-revision"


def _argument(value: str) -> str:
    name = value.partition("=")[0].replace("_", "-")
    if name in OWN_ARGUMENTS:
        raise ValueError(f"{name} is set by {OWN_ARGUMENTS[name]}; leave it out")
    if _HUB_TOKEN.search(value):
        raise ValueError("holds a token of Hugging Face, in clear; replace the token, and give hub_token_secret")
    return value


Arguments = tuple[Annotated[str, AfterValidator(_argument)], ...]


class ReplicaSettings(Settings):
    """How many servers of a model there are."""

    min: Annotated[Count, Between(0)] = 1
    """The least, while its schedule is up. With 0, the first request that finds none wakes one, and another target answers
    meanwhile."""
    max: Annotated[Count, Between(1)] = 2
    """The most. Its pool bounds it too: a server without a node waits."""

    def problems(self) -> Iterator[Problem]:
        if self.valid("min", "max") and self.max < self.min:
            yield Problem("max", f"must be at least min, {self.min}, not {self.max}")


class CandidateSettings(Settings):
    """A second version of a model, beside the first: what is given here is its own, and the rest is the first's."""

    weight: Annotated[Count, Between(0, 100)] = 0
    """How much of the traffic it takes, in percent. To make it the only one, give its settings to the model and leave the
    candidate out: its servers stay, and the others are drained and go."""
    image: _Image | None = None
    """As the model's."""
    weights: WeightFormat | None = None
    """As the model's."""
    weights_uri: _WeightsUri | None = None
    """As the model's."""
    repository: _Repository | None = None
    """As the model's."""
    revision: _Revision | None = None
    """As the model's."""
    context: Annotated[Count, Between(1)] | None = None
    """As the model's."""
    tensor_parallel: Annotated[Count, Between(1)] | None = None
    """As the model's."""
    arguments: Arguments | None = None
    """As the model's."""
    replicas: ReplicaSettings | None = None
    """As the model's."""
    requests_per_replica: Annotated[Count, Between(1)] | None = None
    """As the model's."""


class ServedModelSettings(Settings):
    """A model that vLLM serves. It is called by its name here, at the base URL `https://DOMAIN/NAME/v1`."""

    model: str | None = None
    """A model of the catalogue whose weights are open; `pulumi-llm fit` lists where each fits. This or config_file."""
    config_file: str | None = None
    """The path of a Hugging Face config.json, for a model that the catalogue lacks; with `repository` or `weights_uri`."""
    parameters_billion: Annotated[Number, Between(0.001)] | None = None
    """The number of parameters, for a config_file from which it cannot be counted."""
    pool: Name
    """The node pool on which it runs; the preview refuses one whose instances it does not fit."""
    image: _Image
    """The image of vLLM 0.33 or later, with its digest. With grpc, an image of your own."""
    weights: WeightFormat | None = None
    """The format of the weights. Default: the one in which the model is published."""
    weights_uri: _WeightsUri | None = None
    """The folder in S3 with config.json, tokenizer and weights as safetensors, which are streamed into the GPUs. Default: they
    are downloaded from Hugging Face by each server."""
    weights_kms_key_arn: Input[KmsKeyArn] | None = None
    """The KMS key of the weights in S3; its policy must let the account's roles use it, as a new key's does. Default: a key of
    AWS's."""
    repository: _Repository | None = None
    """The repository at Hugging Face. Default: the catalogue's, for weights in the format in which the model is published."""
    revision: _Revision | None = None
    """The commit of the repository. Required without weights_uri."""
    context: Annotated[Count, Between(1)] | None = None
    """The longest request in tokens, answer included. Default: a power of two of which the KV cache holds two."""
    tensor_parallel: Annotated[Count, Between(1)] | None = None
    """Over how many GPUs a server is spread. Default: the fewest that leave room for two requests of 16,384 tokens."""
    replicas: ReplicaSettings = Field(default_factory=ReplicaSettings)
    """How many servers there are."""
    requests_per_replica: Annotated[Count, Between(1)] | None = None
    """How many requests, running and waiting, a server has before another one is started. At twice as many it refuses, and the
    gateway calls its next target. Default: as many of 2,048 tokens as its KV cache holds, at most 64."""
    drain_seconds: Annotated[Count, Between(15, 900)] = 45
    """For how long a server that goes ends the answers that it has begun, in seconds; longer ones are cut off. A longer time
    keeps nodes for longer, and a spot instance is gone after 120 whatever is said here."""
    hub_token_secret: _SecretName | None = None
    """A Secret in the namespace `models`, made by you, whose key `token` is a token of Hugging Face, for a repository that asks
    for one. Default: none."""
    egress_cidrs: tuple[_Range, ...] = ()
    """Networks that the servers may call over HTTPS, beside the place of their weights (S3 in the cluster's Region, or for
    Hugging Face the whole internet): such as the addresses of an endpoint of S3 within the VPC, or with grpc of what your image
    calls. Default: none."""
    arguments: Arguments = ()
    """More arguments of `vllm serve`, such as --reasoning-parser. With grpc, those of your image. Default: none."""
    grpc: Flag = False
    """Serve gRPC, by an image of your own that listens on port 50051 without TLS, answers gRPC's health checks, and runs as any
    user. Model and weights are then the image's own, and tensor_parallel is how many GPUs it gets."""
    candidate: CandidateSettings | None = None
    """A second version, which comes up beside the first and takes its share of the traffic. Default: none."""

    def problems(self) -> Iterator[Problem]:
        yield from self._grpc_problems() if self.grpc else self._model_problems()
        if not self.grpc:
            yield from _remote_code_problems(self.arguments)
        if self.given("hub_token_secret") and (self.grpc or self.given("weights_uri")):
            yield Problem("hub_token_secret", "is for weights of Hugging Face, and they come from elsewhere; leave it out")
        if self.candidate is None:
            return
        merged = self.with_candidate()
        seen = set(self.problems_without_candidate())
        for problem in merged.problems():
            if problem not in seen:
                yield Problem(f"candidate.{problem.path}", problem.reason)
        if not set(self.candidate.model_fields_set) - {"weight", "replicas", "requests_per_replica"}:
            yield Problem("candidate", "differs in nothing from the model; give what is new, or leave it out")

    def problems_without_candidate(self) -> list[Problem]:
        return list(self.model_copy(update={"candidate": None}).problems())

    def with_candidate(self) -> "ServedModelSettings":
        """The settings of the candidate, which is there."""
        candidate = self.candidate
        assert candidate is not None
        given = {name: getattr(candidate, name) for name in candidate.model_fields_set - {"weight"}}
        # Weights come from one place: a candidate's own replaces the model's.
        if "weights_uri" in given:
            given = {"repository": None, "revision": None, **given}
        elif {"repository", "revision"} & given.keys():
            given = {"weights_uri": None, **given}
        copy = self.model_copy(update={**given, "candidate": None})
        copy.model_fields_set.difference_update(name for name, value in given.items() if value is None)
        return copy

    def open_model(self) -> OpenModel:
        """The model's shape. Raises ModelError, ConfigError or OSError."""
        if self.config_file is not None:
            return read_config(Path(self.config_file).read_bytes(), self.parameters_billion)
        model, _ = find(self.model or "")
        if model.shape is None:
            known = ", ".join(model.name for model in catalogue().values() if model.shape)
            raise ModelError(f"the catalogue has no shape of {model.name!r}; give config_file instead, or one of {known}")
        return OpenModel(model.shape, model.context_tokens)

    def source(self) -> str:
        """Where vLLM gets the weights from: a folder in S3 or a repository."""
        return self.weights_uri or self.repository or self._published_repository()

    def _published_repository(self) -> str:
        """The catalogue's repository, where the weights in it have the wanted format."""
        if self.model is None:
            return ""
        try:
            model, _ = find(self.model)
        except ModelError:
            return ""
        return model.hub if model.shape and self.weights in (None, model.shape.weights) else ""

    def _grpc_problems(self) -> Iterator[Problem]:
        others = ("model", "config_file", "parameters_billion", "weights", "weights_uri", "repository", "revision", "context")
        others += ("weights_kms_key_arn",)
        for name in others:
            if self.given(name):
                yield Problem(name, "is of vLLM, and with grpc the image is your own; leave it out")

    def _model_problems(self) -> Iterator[Problem]:
        if self.given("model") == self.given("config_file"):
            yield Problem("model", "give a model of the catalogue, or config_file for another one, and not both")
            return
        if self.given("parameters_billion") and not self.given("config_file"):
            yield Problem("parameters_billion", "is for a config_file; the catalogue knows its models' numbers")
        place = "config_file" if self.given("config_file") else "model"
        if self.valid("image") and (reason := _too_old(self.image)):
            yield Problem("image", reason)
        if self.valid(place):
            try:
                self.open_model()
            except OSError as error:
                yield Problem(place, f"{self.config_file}: {error.strerror}")
                return
            except ConfigError as error:
                yield Problem(place, f"{self.config_file}: {str(error).replace('--parameters-billion', 'parameters_billion')}")
                return
            except ModelError as error:
                yield Problem(place, _without_bedrock(str(error)))
                return
        if self.given("weights_uri"):
            for name in ("repository", "revision"):
                if self.given(name):
                    yield Problem(name, "is of Hugging Face, and weights_uri says that the weights are in S3; leave it out")
            return
        if self.given("weights_kms_key_arn"):
            yield Problem("weights_kms_key_arn", "is of weights in S3; give weights_uri, or leave it out")
        if not self.source() and not self.given("repository"):
            why = f"the catalogue knows none with weights in {self.weights}" if self.model else "a config_file names none"
            yield Problem("repository", f"is required without weights_uri: {why}")
        if not self.given("revision"):
            yield Problem("revision", "is required without weights_uri: the commit of the repository whose weights are served")


def _remote_code_problems(arguments: tuple[str, ...]) -> Iterator[Problem]:
    """Code that config.json names is of another repository's newest commit, where none is given.

    https://github.com/huggingface/transformers/blob/main/src/transformers/dynamic_module_utils.py
    """
    # A wrong argument, which is reported at its place, is None here.
    texts = [text.replace("_", "-") if text.startswith("--") else text for text in map(str, arguments)]
    given = dict(pairwise(texts)) | dict(text.split("=", 1) for text in texts if "=" in text)
    if _REMOTE_CODE in texts and re.fullmatch(r"[0-9a-f]{40}", given.get(_CODE_REVISION, "")) is None:
        reason = f"{_REMOTE_CODE} runs code that its authors may change; give {_CODE_REVISION} with the commit, 40 digits, too"
        yield Problem("arguments", reason)


def _too_old(image: str) -> str:
    """Why an image of vLLM does not take the arguments that it will be given, as far as its tag tells."""
    found = re.search(r"vllm[a-z0-9._-]*:v?(\d+)\.(\d+)", image)
    if found is None or (int(found[1]), int(found[2])) >= _OLDEST_VLLM:
        return ""
    oldest = ".".join(map(str, _OLDEST_VLLM))
    return f"is of vLLM {found[1]}.{found[2]} by its tag, and servers get arguments of {oldest} or later; take a newer one"


def _without_bedrock(reason: str) -> str:
    """The catalogue's reason, without what only helps a caller of Bedrock."""
    return re.sub(r" To use another model of Bedrock's.*", " For another one, give config_file.", reason)
