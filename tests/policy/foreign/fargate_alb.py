"""A container as a Fargate service behind a public load balancer, over plain HTTP, in a network that the settings name."""

import json

import pulumi
import pulumi_aws as aws

config = pulumi.Config()
image = config.get("image") or "public.ecr.aws/nginx/nginx:latest"
vpc_id = config.get("vpcId") or "vpc-0a1b2c3d4e5f60718"
subnet_ids = config.get_object("subnetIds") or ["subnet-0a1b2c3d4e5f60718", "subnet-1a1b2c3d4e5f60718"]

cluster = aws.ecs.Cluster("web")
group = aws.ec2.SecurityGroup(
    "web",
    vpc_id=vpc_id,
    description="HTTP from everywhere",
    ingress=[{"protocol": "tcp", "from_port": 80, "to_port": 80, "cidr_blocks": ["0.0.0.0/0"]}],
    egress=[{"protocol": "-1", "from_port": 0, "to_port": 0, "cidr_blocks": ["0.0.0.0/0"]}],
)
balancer = aws.lb.LoadBalancer("web", security_groups=[group.id], subnets=subnet_ids)
target = aws.lb.TargetGroup("web", port=80, protocol="HTTP", target_type="ip", vpc_id=vpc_id)
listener = aws.lb.Listener(
    "web",
    load_balancer_arn=balancer.arn,
    port=80,
    default_actions=[{"type": "forward", "target_group_arn": target.arn}],
)

role = aws.iam.Role(
    "task-exec",
    assume_role_policy=json.dumps(
        {
            "Version": "2008-10-17",
            "Statement": [
                {
                    "Sid": "",
                    "Effect": "Allow",
                    "Principal": {"Service": "ecs-tasks.amazonaws.com"},
                    "Action": "sts:AssumeRole",
                }
            ],
        }
    ),
)
aws.iam.RolePolicyAttachment(
    "task-exec", role=role.name, policy_arn="arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy"
)
task = aws.ecs.TaskDefinition(
    "web",
    family="web",
    cpu="256",
    memory="512",
    network_mode="awsvpc",
    requires_compatibilities=["FARGATE"],
    execution_role_arn=role.arn,
    container_definitions=json.dumps(
        [{"name": "web", "image": image, "portMappings": [{"containerPort": 80, "hostPort": 80, "protocol": "tcp"}]}]
    ),
)
service = aws.ecs.Service(
    "web",
    cluster=cluster.arn,
    desired_count=3,
    launch_type="FARGATE",
    task_definition=task.arn,
    network_configuration={"assign_public_ip": True, "subnets": subnet_ids, "security_groups": [group.id]},
    load_balancers=[{"target_group_arn": target.arn, "container_name": "web", "container_port": 80}],
    opts=pulumi.ResourceOptions(depends_on=[listener]),
)

pulumi.export("url", balancer.dns_name.apply(lambda name: f"http://{name}"))
