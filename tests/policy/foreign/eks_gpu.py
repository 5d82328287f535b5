"""An EKS cluster with a node group for system pods and one of GPU machines, and the model server as a deployment on these."""

import json

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as k8s

config = pulumi.Config()
subnet_ids = config.get_object("subnetIds") or ["subnet-0a1b2c3d4e5f60718", "subnet-1a1b2c3d4e5f60718"]


def role(name: str, service: str, policies: list[str]) -> aws.iam.Role:
    trust = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    made = aws.iam.Role(name, assume_role_policy=json.dumps({"Version": "2012-10-17", "Statement": [trust]}))
    for policy in policies:
        aws.iam.RolePolicyAttachment(f"{name}-{policy}", role=made.name, policy_arn=f"arn:aws:iam::aws:policy/{policy}")
    return made


cluster_role = role("cluster", "eks.amazonaws.com", ["AmazonEKSClusterPolicy"])
node_role = role(
    "nodes",
    "ec2.amazonaws.com",
    ["AmazonEKSWorkerNodePolicy", "AmazonEKS_CNI_Policy", "AmazonEC2ContainerRegistryReadOnly"],
)
cluster = aws.eks.Cluster(
    "models",
    role_arn=cluster_role.arn,
    version="1.34",
    vpc_config={"subnet_ids": subnet_ids, "endpoint_private_access": True, "endpoint_public_access": True},
    enabled_cluster_log_types=["api", "audit", "authenticator"],
    access_config={"authentication_mode": "API_AND_CONFIG_MAP"},
)
general = aws.eks.NodeGroup(
    "general",
    cluster_name=cluster.name,
    node_role_arn=node_role.arn,
    subnet_ids=subnet_ids,
    instance_types=["t3.large"],
    scaling_config={"desired_size": 2, "min_size": 1, "max_size": 3},
)
gpu = aws.eks.NodeGroup(
    "gpu",
    cluster_name=cluster.name,
    node_role_arn=node_role.arn,
    subnet_ids=subnet_ids,
    ami_type="AL2023_x86_64_NVIDIA",
    instance_types=["g5.xlarge"],
    disk_size=200,
    scaling_config={"desired_size": 1, "min_size": 0, "max_size": 4},
    labels={"workload": "gpu"},
    taints=[{"key": "nvidia.com/gpu", "value": "true", "effect": "NO_SCHEDULE"}],
)

authority = cluster.certificate_authority.apply(lambda authority: authority.data if authority else "")
kubeconfig = pulumi.Output.json_dumps(
    {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": "eks",
                "cluster": {
                    "server": cluster.endpoint,
                    "certificate-authority-data": authority,
                },
            }
        ],
        "contexts": [{"name": "eks", "context": {"cluster": "eks", "user": "eks"}}],
        "current-context": "eks",
        "users": [
            {
                "name": "eks",
                "user": {
                    "exec": {
                        "apiVersion": "client.authentication.k8s.io/v1beta1",
                        "command": "aws",
                        "args": ["eks", "get-token", "--cluster-name", cluster.name],
                    }
                },
            }
        ],
    }
)
provider = k8s.Provider("eks", kubeconfig=kubeconfig)
labels = {"app": "vllm"}
k8s.apps.v1.Deployment(
    "vllm",
    metadata={"labels": labels},
    spec={
        "replicas": 1,
        "selector": {"match_labels": labels},
        "template": {
            "metadata": {"labels": labels},
            "spec": {
                "containers": [
                    {
                        "name": "vllm",
                        "image": "vllm/vllm-openai:latest",
                        "args": ["--model", "Qwen/Qwen3-8B"],
                        "ports": [{"container_port": 8000}],
                        "resources": {"limits": {"nvidia.com/gpu": "1"}},
                    }
                ],
                "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
                "node_selector": {"workload": "gpu"},
            },
        },
    },
    opts=pulumi.ResourceOptions(provider=provider, depends_on=[gpu]),
)
k8s.core.v1.Service(
    "vllm",
    spec={"type": "LoadBalancer", "selector": labels, "ports": [{"port": 80, "target_port": 8000}]},
    opts=pulumi.ResourceOptions(provider=provider),
)

pulumi.export("kubeconfig", pulumi.Output.secret(kubeconfig))
