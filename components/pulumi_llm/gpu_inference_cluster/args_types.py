"""The arguments as TypedDicts, for programs and for Pulumi's analyzer. Made by `make docs` from args.py."""

from collections.abc import Mapping, Sequence
from typing import Any, NotRequired, TypedDict

import pulumi


class ClusterDomainArgs(TypedDict):
    """The name under which the models are called, over HTTPS."""

    name: str
    """The host name, such as models.example.com. It leads to addresses within the VPC."""
    zone_id: NotRequired[pulumi.Input[str]]
    """The hosted zone in which a record for it is made. Without `certificate_arn` it must be public, for a certificate is
    validated in it. Default: no record is made."""
    certificate_arn: NotRequired[pulumi.Input[str]]
    """A certificate of ACM for the name. Default: one is made, and validated in the zone."""


class PrivateLinkArgs(TypedDict):
    """Callers in other VPCs: an endpoint service (PrivateLink), with a Network Load Balancer before the internal
    balancer."""

    allowed_principals: Sequence[pulumi.Input[str]]
    """Who may ask for a connection: ARNs of accounts (arn:aws:iam::ACCOUNT:root), roles or users. Who is taken out keeps
    the connections that were accepted."""
    acceptance_required: NotRequired[pulumi.Input[bool]]
    """Each connection waits until somebody here accepts it. Default: true."""
    zone_id: NotRequired[pulumi.Input[str]]
    """A public zone in which a record proves that the domain is yours, so that the callers' endpoints answer under its
    name. Default: `domain.zone_id` if a certificate is validated in it, for then it is public; else the endpoints have
    AWS's names only."""


class ReplicaArgs(TypedDict):
    """How many servers of a model there are."""

    min: NotRequired[int]
    """The least, while its schedule is up. With 0, the first request that finds none wakes one, and another target answers
    meanwhile. At least 0. Default: 1."""
    max: NotRequired[int]
    """The most. Its pool bounds it too: a server without a node waits. At least 1. Default: 2."""


class CandidateArgs(TypedDict):
    """A second version of a model, beside the first: what is given here is its own, and the rest is the first's."""

    weight: NotRequired[int]
    """How much of the traffic it takes, in percent. To make it the only one, give its settings to the model and leave the
    candidate out: its servers stay, and the others are drained and go. From 0 to 100. Default: 0."""
    image: NotRequired[str]
    """As the model's. Default: none."""
    weights: NotRequired[str]
    """As the model's. Default: none."""
    weights_uri: NotRequired[str]
    """As the model's. Default: none."""
    repository: NotRequired[str]
    """As the model's. Default: none."""
    revision: NotRequired[str]
    """As the model's. Default: none."""
    context: NotRequired[int]
    """As the model's. At least 1. Default: none."""
    tensor_parallel: NotRequired[int]
    """As the model's. At least 1. Default: none."""
    arguments: NotRequired[Sequence[str]]
    """As the model's. Default: none."""
    replicas: NotRequired[ReplicaArgs]
    """As the model's. Default: none."""
    requests_per_replica: NotRequired[int]
    """As the model's. At least 1. Default: none."""


class ServedModelArgs(TypedDict):
    """A model that vLLM serves. It is called by its name here, at the base URL `https://DOMAIN/NAME/v1`."""

    model: NotRequired[str]
    """A model of the catalogue whose weights are open; `pulumi-llm fit` lists where each fits. This or config_file.
    Default: none."""
    config_file: NotRequired[str]
    """The path of a Hugging Face config.json, for a model that the catalogue lacks; with `repository` or `weights_uri`.
    Default: none."""
    parameters_billion: NotRequired[float]
    """The number of parameters, for a config_file from which it cannot be counted. At least 0.001. Default: none."""
    pool: str
    """The node pool on which it runs; the preview refuses one whose instances it does not fit."""
    image: str
    """The image of vLLM 0.33 or later, with its digest. With grpc, an image of your own."""
    weights: NotRequired[str]
    """The format of the weights. Default: the one in which the model is published."""
    weights_uri: NotRequired[str]
    """The folder in S3 with config.json, tokenizer and weights as safetensors, which are streamed into the GPUs. Default:
    they are downloaded from Hugging Face by each server."""
    weights_kms_key_arn: NotRequired[pulumi.Input[str]]
    """The KMS key of the weights in S3; its policy must let the account's roles use it, as a new key's does. Default: a key
    of AWS's."""
    repository: NotRequired[str]
    """The repository at Hugging Face. Default: the catalogue's, for weights in the format in which the model is
    published."""
    revision: NotRequired[str]
    """The commit of the repository. Required without weights_uri."""
    context: NotRequired[int]
    """The longest request in tokens, answer included. At least 1. Default: a power of two of which the KV cache holds
    two."""
    tensor_parallel: NotRequired[int]
    """Over how many GPUs a server is spread. At least 1. Default: the fewest that leave room for two requests of 16,384
    tokens."""
    replicas: NotRequired[ReplicaArgs]
    """How many servers there are."""
    requests_per_replica: NotRequired[int]
    """How many requests, running and waiting, a server has before another one is started. At twice as many it refuses, and
    the gateway calls its next target. At least 1. Default: as many of 2,048 tokens as its KV cache holds, at most 64."""
    drain_seconds: NotRequired[int]
    """For how long a server that goes ends the answers that it has begun, in seconds; longer ones are cut off. A longer
    time keeps nodes for longer, and a spot instance is gone after 120 whatever is said here. From 15 to 900. Default:
    45."""
    hub_token_secret: NotRequired[str]
    """A Secret in the namespace `models`, made by you, whose key `token` is a token of Hugging Face, for a repository that
    asks for one. Default: none."""
    egress_cidrs: NotRequired[Sequence[str]]
    """Networks that the servers may call over HTTPS, beside the place of their weights (S3 in the cluster's Region, or for
    Hugging Face the whole internet): such as the addresses of an endpoint of S3 within the VPC, or with grpc of what your
    image calls. Default: none."""
    arguments: NotRequired[Sequence[str]]
    """More arguments of `vllm serve`, such as --reasoning-parser. With grpc, those of your image. Default: none."""
    grpc: NotRequired[bool]
    """Serve gRPC, by an image of your own that listens on port 50051 without TLS, answers gRPC's health checks, and runs as
    any user. Model and weights are then the image's own, and tensor_parallel is how many GPUs it gets. Default: false."""
    candidate: NotRequired[CandidateArgs]
    """A second version, which comes up beside the first and takes its share of the traffic. Default: none."""


class ScheduleArgs(TypedDict):
    """When models keep their least number of servers. At other times they have servers only while there is demand."""

    enabled: NotRequired[bool]
    """Hold to the schedule. Without it, models keep their least number of servers always. Default: true."""
    up: NotRequired[str]
    """From when on, in hours and minutes. Default: "15:00"."""
    down: NotRequired[str]
    """Until when; before `up`, it is on the next day. Default: "06:00"."""
    time_zone: NotRequired[str]
    """The time zone, by the name of the IANA's database. Default: "UTC"."""
    hard_off: NotRequired[bool]
    """Have no servers at all, whatever the demand; the next targets of the aliases answer. Default: false."""


class SystemNodesArgs(TypedDict):
    """The nodes of what the cluster itself needs: DNS, autoscalers, Prometheus, the balancer's controller."""

    instance_type: NotRequired[str]
    """The instance type, of x86_64. Another one replaces the nodes. Default: "m5.large"."""
    min: NotRequired[int]
    """At least so many, in different zones. From 2 to 10. Default: 2."""
    max: NotRequired[int]
    """At most so many. From 2 to 10. Default: 3."""


class NodeBoundsArgs(TypedDict):
    """How many nodes a node group has."""

    min: NotRequired[int]
    """At least so many, needed or not. To raise it above what is running, see docs/gpu-cluster.md. From 0 to 100. Default:
    0."""
    max: NotRequired[int]
    """At most so many. 0 makes no such node group. After a change of min or max, run `pulumi up --refresh`: AWS gets the
    number of nodes that is in Pulumi's state along with them. From 0 to 100. Default: 1."""


class NodePoolArgs(TypedDict):
    """GPU nodes of one instance type: a node group on demand, which is filled first, and one of spot instances on top."""

    instance_type: NotRequired[str]
    """The instance type; one of those that `pulumi-llm fit` knows. Default: "g5.2xlarge"."""
    on_demand: NotRequired[NodeBoundsArgs]
    """The nodes on demand, the base."""
    spot: NotRequired[NodeBoundsArgs]
    """The spot instances on top. AWS may take one back with two minutes' notice, which its pods use to end their
    answers."""
    volume_gib: NotRequired[int]
    """The size of each node's disk, in GiB: for the image (some 20), and for weights that come from the hub. From 30 to
    16,384. Default: 200."""
    volume_throughput: NotRequired[int]
    """How fast each node's disk is, in MiB a second; images and weights are written to it and read from it. Above 125 it
    costs extra, while there is a node. From 125 to 2,000. Default: 500."""
    capacity_reservation_id: NotRequired[pulumi.Input[str]]
    """A capacity reservation in which the nodes on demand run. Name its zone's subnet by `customize`, as `subnet_ids` of
    `node-group:POOL-on-demand`. Default: none."""
    capacity_block: NotRequired[bool]
    """Whether the reservation is a Capacity Block for ML, which is paid in advance and ends by itself. Default: false."""


class ClusterNetworkArgs(TypedDict):
    """Where the cluster is: outputs of an InferenceNetwork, or of your own VPC."""

    vpc_id: pulumi.Input[str]
    """The VPC."""
    private_subnet_ids: pulumi.Input[Sequence[pulumi.Input[str]]]
    """Private subnets for nodes and pods, in two zones or more. From there images, weights and AWS are reached, by NAT or
    endpoints."""
    balancer_subnet_ids: pulumi.Input[Sequence[pulumi.Input[str]]]
    """Subnets for the balancer, in two zones or more. Best are some in which nothing else is, for who is in them may call
    the model servers."""
    balancer_subnet_cidrs: pulumi.Input[Sequence[pulumi.Input[str]]]
    """Their addresses, from which the balancer calls."""
    balancer_security_group_id: pulumi.Input[str]
    """The security group of the balancer, into which the callers' groups lead."""
    service_security_group_id: pulumi.Input[str]
    """The security group of the GPU nodes, into which the balancer's leads."""


class GpuInferenceClusterArgs(TypedDict):
    """The arguments. What decides which resources there are is plain; the rest may be Outputs."""

    admins: Sequence[pulumi.Input[str]]
    """IAM roles that administer the cluster. The role that runs `pulumi up` must be one of them, for it makes what is in
    the cluster. Nobody else has access; who created the cluster has none by that."""
    domain: ClusterDomainArgs
    """The name under which the models are called, over HTTPS."""
    private_link: NotRequired[PrivateLinkArgs]
    """Callers in other VPCs. Default: the models are called within the VPC alone."""
    models: Mapping[str, ServedModelArgs]
    """The models that are served, by the names under which they are called."""
    schedule: NotRequired[ScheduleArgs]
    """When models keep their least number of servers."""
    manifests_folder: NotRequired[str]
    """A folder into which `pulumi up` writes the objects of the models, for Argo CD or Flux, instead of making them in the
    cluster: docs/gitops.md. Default: they are made in the cluster."""
    kubernetes_version: NotRequired[str]
    """The version of Kubernetes, which is updated one minor version at a time. Default: "1.35"."""
    node_release: NotRequired[str]
    """The release of the nodes' image: kernel, kubelet, drivers of the GPUs. Another one replaces all nodes, one after the
    other; EKS goes back to no older one. Default: one that belongs to the version, and changes with this package."""
    endpoint_public_cidrs: NotRequired[Sequence[pulumi.Input[str]]]
    """Networks from which the cluster's API is reached over the internet, such as those of your CI. Default: none, and
    `pulumi up` has to run within the VPC."""
    system_nodes: NotRequired[SystemNodesArgs]
    """The nodes of what the cluster itself needs."""
    node_pools: NotRequired[Mapping[str, NodePoolArgs]]
    """The GPU nodes, by the names that models have for them. Default: `gpu`, one g5.2xlarge on demand and one spot instance
    at most."""
    log_retention_days: NotRequired[int]
    """How long the control plane's logs are kept, in days; one of the numbers that CloudWatch Logs accepts. Default: 90."""
    kms_key_arn: NotRequired[pulumi.Input[str]]
    """The KMS key of the cluster's secrets and logs; its policy must let CloudWatch Logs use it. For the secrets it is
    chosen once: a cluster keeps the key that it was made with. Default: a key of the component's own for the secrets, and
    one of AWS for the logs."""
    deletion_protection: NotRequired[bool]
    """Protect the cluster and the balancer: AWS refuses to delete them. To destroy the stack, set it to false and run
    `pulumi up` first. Default: true."""
    customize: NotRequired[Mapping[str, Mapping[str, Any]]]
    """Per child, arguments that are merged with the component's own. Default: none."""
    network: ClusterNetworkArgs
    """Where the cluster is: outputs of an InferenceNetwork, or of your own VPC."""
    parameter_prefix: NotRequired[str]
    """Where SSM parameters with the outputs are made, such as "/llm/prod/gpu". Default: none are made."""
    region: NotRequired[str]
    """The Region of the component's AWS provider; another one is a mistake. Default: the provider's."""
    tags: NotRequired[Mapping[str, pulumi.Input[str]]]
    """Tags of every resource. Default: none but the component's own."""
