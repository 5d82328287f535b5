"""A model from the hub as a SageMaker endpoint on one GPU machine, with the broad managed policy that the guides use."""

import json

import pulumi
import pulumi_aws as aws

config = pulumi.Config()
model_id = config.get("modelId") or "mistralai/Mistral-7B-Instruct-v0.3"
region = aws.get_region().region
image = (
    f"763104351884.dkr.ecr.{region}.amazonaws.com/huggingface-pytorch-tgi-inference:2.7.0-tgi3.3.6-gpu-py311-cu124-ubuntu22.04"
)

role = aws.iam.Role(
    "model",
    assume_role_policy=json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}],
        }
    ),
)
aws.iam.RolePolicyAttachment("model", role=role.name, policy_arn="arn:aws:iam::aws:policy/AmazonSageMakerFullAccess")

model = aws.sagemaker.Model(
    "model",
    execution_role_arn=role.arn,
    primary_container={
        "image": image,
        "environment": {
            "HF_MODEL_ID": model_id,
            "HF_TASK": "text-generation",
            "SM_NUM_GPUS": "1",
            "MAX_INPUT_LENGTH": "2048",
            "MAX_TOTAL_TOKENS": "4096",
        },
    },
)
endpoint_config = aws.sagemaker.EndpointConfiguration(
    "model",
    production_variants=[
        {
            "variant_name": "primary",
            "model_name": model.name,
            "initial_instance_count": 1,
            "instance_type": "ml.g5.2xlarge",
            "initial_variant_weight": 1,
        }
    ],
)
endpoint = aws.sagemaker.Endpoint("model", endpoint_config_name=endpoint_config.name)

target = aws.appautoscaling.Target(
    "model",
    service_namespace="sagemaker",
    resource_id=pulumi.Output.concat("endpoint/", endpoint.name, "/variant/primary"),
    scalable_dimension="sagemaker:variant:DesiredInstanceCount",
    min_capacity=1,
    max_capacity=4,
)
aws.appautoscaling.Policy(
    "model",
    policy_type="TargetTrackingScaling",
    service_namespace=target.service_namespace,
    resource_id=target.resource_id,
    scalable_dimension=target.scalable_dimension,
    target_tracking_scaling_policy_configuration={
        "target_value": 10,
        "predefined_metric_specification": {"predefined_metric_type": "SageMakerVariantInvocationsPerInstance"},
    },
)

pulumi.export("endpoint", endpoint.name)
