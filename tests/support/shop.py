"""A stranger's program that reads what no checkout has: another stack, an account, an ESC environment, secrets."""

from pathlib import Path
from typing import Any

PROGRAM = """\
import pulumi
import pulumi_aws as aws

config = pulumi.Config()
database, token = config.require_object("database"), config.require_secret("token")
size = config.require_int("size")
network = pulumi.StackReference("acme/network/dev")
vpc = aws.ec2.get_vpc(tags={"Name": "main"})
zone = aws.route53.get_zone_output(name="example.com")
secret = aws.secretsmanager.get_secret_version_output(secret_id="key")
group = aws.ec2.SecurityGroup("web", vpc_id=vpc.id, tags={"Subnet": network.require_output("subnet")})
host = network.get_output("host")
aws.route53.Record("www", zone_id=zone.zone_id, name="www", type="CNAME", ttl=60, records=[host])
key = pulumi.Output.concat(secret.secret_string, token, database["password"])
aws.ssm.Parameter("key", type="SecureString", value=key)
pulumi.export("group", group.id)
"""
STACK = """\
environment: [shop/network]
config:
  aws:region: eu-west-1
  shop:database: {host: db.example.com, password: {secure: v1:abc:def}}
  shop:token: {secure: v1:abc:def}
"""

SETTINGS: dict[str, Any] = {"size": 3}
OUTPUTS: dict[str, dict[str, Any]] = {"acme/network/dev": {"subnet": "s-1", "host": "h"}}
ANSWERS: dict[str, dict[str, Any]] = {
    "aws:ec2/getVpc:getVpc": {"id": "vpc-1"},
    "aws:route53/getZone:getZone": {"zoneId": "Z1"},
    "aws:secretsmanager/getSecretVersion:getSecretVersion": {"secretString": "x"},
}


def write_shop(folder: Path) -> Path:
    """Write the project into a folder, with the stack dev."""
    (folder / "Pulumi.yaml").write_text("name: shop\nruntime: python\n")
    (folder / "Pulumi.dev.yaml").write_text(STACK)
    (folder / "__main__.py").write_text(PROGRAM)
    return folder
