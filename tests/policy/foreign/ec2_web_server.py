"""A web server on one EC2 machine: user data that starts it, a security group that lets everyone in, SSH included."""

import pulumi
import pulumi_aws as aws

image = aws.ssm.get_parameter(name="/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64").value
zone = aws.get_availability_zones(state="available").names[0]

group = aws.ec2.SecurityGroup(
    "web-secgrp",
    description="Enable HTTP access",
    ingress=[
        {"protocol": "tcp", "from_port": 22, "to_port": 22, "cidr_blocks": ["0.0.0.0/0"]},
        {"protocol": "tcp", "from_port": 80, "to_port": 80, "cidr_blocks": ["0.0.0.0/0"], "ipv6_cidr_blocks": ["::/0"]},
    ],
)

user_data = """#!/bin/bash
dnf install -y nginx
echo "Hello, World!" > /usr/share/nginx/html/index.html
systemctl enable --now nginx
"""
key = aws.ec2.KeyPair(
    "admin", public_key="ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl admin@example.com"
)
server = aws.ec2.Instance(
    "web-server",
    instance_type="t3.micro",
    availability_zone=zone,
    ami=image,
    vpc_security_group_ids=[group.id],
    user_data=user_data,
    key_name=key.key_name,
    tags={"Name": "web-server"},
)
data = aws.ebs.Volume("data", availability_zone=zone, size=20)
aws.ec2.VolumeAttachment("data", device_name="/dev/sdf", instance_id=server.id, volume_id=data.id)

pulumi.export("publicIp", server.public_ip)
pulumi.export("publicHostName", server.public_dns)
