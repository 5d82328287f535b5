"""A Postgres database in private subnets, reached from one security group; its password is made by RDS."""

import pulumi
import pulumi_aws as aws

config = pulumi.Config()
app_group_id = config.get("appSecurityGroupId") or "sg-0a1b2c3d4e5f60718"
tags = {"Project": "orders", "Environment": "prod", "Owner": "orders-team"}

vpc = aws.ec2.Vpc("db", cidr_block="10.20.0.0/16", enable_dns_hostnames=True, tags={**tags, "Name": "db"})
zones = aws.get_availability_zones(state="available")
subnets = [
    aws.ec2.Subnet(
        f"db-{index}", vpc_id=vpc.id, cidr_block=f"10.20.{index}.0/24", availability_zone=zones.names[index], tags=tags
    )
    for index in range(2)
]
subnet_group = aws.rds.SubnetGroup("db", subnet_ids=[subnet.id for subnet in subnets], tags=tags)
group = aws.ec2.SecurityGroup("db", vpc_id=vpc.id, description="Postgres from the application", tags=tags)
aws.vpc.SecurityGroupIngressRule(
    "postgres",
    security_group_id=group.id,
    ip_protocol="tcp",
    from_port=5432,
    to_port=5432,
    referenced_security_group_id=app_group_id,
    description="The application",
    tags=tags,
)
parameters = aws.rds.ParameterGroup("db", family="postgres17", parameters=[{"name": "rds.force_ssl", "value": "1"}], tags=tags)
database = aws.rds.Instance(
    "db",
    engine="postgres",
    engine_version="17",
    instance_class="db.t4g.medium",
    allocated_storage=50,
    max_allocated_storage=200,
    storage_type="gp3",
    storage_encrypted=True,
    db_name="orders",
    username="orders",
    manage_master_user_password=True,
    multi_az=True,
    backup_retention_period=14,
    deletion_protection=True,
    copy_tags_to_snapshot=True,
    final_snapshot_identifier="orders-final",
    iam_database_authentication_enabled=True,
    auto_minor_version_upgrade=True,
    enabled_cloudwatch_logs_exports=["postgresql"],
    performance_insights_enabled=True,
    db_subnet_group_name=subnet_group.name,
    parameter_group_name=parameters.name,
    vpc_security_group_ids=[group.id],
    tags=tags,
    opts=pulumi.ResourceOptions(protect=True),
)

pulumi.export("endpoint", database.endpoint)
