"""Computed outputs that need more than filled-in text: what depends on a switch, a path, or another resource's ARN.

A rule gives an entry of the form that `computed_table` explains.
"""

from collections.abc import Callable, Mapping
from string import ascii_letters, digits
from typing import Any, Final, cast

from pulumi_llm_local.aws_types.computed_draft import Draft, drawn
from pulumi_llm_local.program.arguments import SECRET, SIGNATURE

Entry = dict[str, Any]

_CREATED: Final = "2026-01-01T00:00:00Z"


def kubernetes_object(draft: Draft) -> Entry:
    """Name an object as the provider does: its id is `namespace/name`, or the name alone where it has no namespace.

    A Service of type LoadBalancer has its address at once; a Helm release is deployed.
    """
    kind = draft.token.rpartition(":")[2]
    given = draft.inputs.get("metadata", {})
    metadata: dict[str, Any] = {"name": f"{draft.name}-{draft.hex(8, 'name')}", "uid": draft.uuid(), **given}
    namespace = "" if kind in _CLUSTER_SCOPED else str(metadata.setdefault("namespace", "default"))
    entry: Entry = {}
    if kind == "Release":  # a Helm release has its name and namespace at the top
        metadata = {"name": draft.physical_name, "namespace": draft.text("namespace", "default")}
        namespace = metadata["namespace"]
        entry = {**metadata, "status": {**metadata, "status": "deployed", "revision": 1}}
    elif kind == "Service" and cast("Mapping[str, Any]", draft.inputs.get("spec", {})).get("type") == "LoadBalancer":
        host = f"k8s-{draft.hex(32)}.elb.{draft.region}.{draft.dns_suffix}"
        entry = {"status": {"loadBalancer": {"ingress": [{"hostname": host}]}}}
    identifier = f"{namespace}/{metadata['name']}" if namespace else str(metadata["name"])
    return {"id": identifier, **entry, **({} if kind == "Release" else {"metadata": metadata})}


_CLUSTER_SCOPED: Final = {
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "IngressClass",
    "Namespace",
    "Node",
    "PersistentVolume",
    "PriorityClass",
    "RuntimeClass",
    "StorageClass",
}


# API Gateway


def api_key(draft: Draft) -> Entry:
    """A key's value, 40 letters and digits, is a secret; it follows from the id, so that its usage plan finds it."""
    identifier = draft.lower(10)
    value = {SIGNATURE: SECRET, "value": drawn(identifier, 40, ascii_letters + digits)}
    arn = "arn:{partition}:apigateway:{region}::/apikeys/{id}"
    dates = {"createdDate": _CREATED, "lastUpdatedDate": _CREATED}
    return {"id": identifier, "arn": arn, "value": value, "enabled": True, **dates}


def usage_plan_key(draft: Draft) -> Entry:
    """The value is the one that `api_key` made up; a value given to the key itself isn't known here."""
    value = {SIGNATURE: SECRET, "value": drawn(draft.text("keyId"), 40, ascii_letters + digits)}
    return {"id": "{keyId}", "name": "{keyId}", "value": value}


def websocket_or_http_api(draft: Draft) -> Entry:
    """A WebSocket API's id ends in `w` and no HTTP API's does, so that a stage can tell what it belongs to."""
    websocket = draft.text("protocolType") == "WEBSOCKET"
    identifier = draft.lower(9) + ("w" if websocket else "h")
    return {
        "id": identifier,
        "arn": "arn:{partition}:apigateway:{region}::/apis/{id}",
        "apiEndpoint": f"{'wss' if websocket else 'https'}://{{id}}.execute-api.{{region}}.{{dns_suffix}}",
        "executionArn": "arn:{partition}:execute-api:{region}:{account}:{id}",
        "apiKeySelectionExpression": "$request.header.x-api-key",
    }


def websocket_or_http_stage(draft: Draft) -> Entry:
    """A stage's URL has its API's protocol; the default stage of an HTTP API has no path."""
    scheme = "wss" if draft.text("apiId").endswith("w") else "https"
    path = "" if draft.physical_name == "$default" else "{name}"
    return {
        "id": "{name}",
        "arn": "arn:{partition}:apigateway:{region}::/apis/{apiId}/stages/{name}",
        "executionArn": "arn:{partition}:execute-api:{region}:{account}:{apiId}/{name}",
        "invokeUrl": f"{scheme}://{{apiId}}.execute-api.{{region}}.{{dns_suffix}}/{path}",
        "deploymentId": "{lower6}",
    }


# Lambda


def function(draft: Draft) -> Entry:
    """A function that publishes has version 1; one that doesn't has $LATEST alone."""
    return {
        "id": "{name}",
        "arn": "arn:{partition}:lambda:{region}:{account}:function:{name}",
        "version": "1" if draft.inputs.get("publish") is True else "$LATEST",
        "qualifiedArn": "{arn}:{version}",
        "invokeArn": _invoke_arn("{arn}"),
        "qualifiedInvokeArn": _invoke_arn("{qualifiedArn}"),
        "responseStreamingInvokeArn": "arn:{partition}:apigateway:{region}:lambda:path/2021-11-15"
        "/functions/{arn}/response-streaming-invocations",
        "architectures": ["x86_64"],
        "codeSha256": "{sha256}",
        "ephemeralStorage": {"size": 512},
        "lastModified": "2026-01-01T00:00:00.000+0000",
        "loggingConfig": {"logFormat": "Text", "logGroup": f"/aws/lambda/{draft.physical_name}"},
        "memorySize": 128,
        "packageType": "Zip",
        "reservedConcurrentExecutions": -1,
        "signingJobArn": "",
        "signingProfileVersionArn": "",
        "sourceCodeHash": "{codeSha256}",
        "sourceCodeSize": 1024,
        "timeout": 3,
        "tracingConfig": {"mode": "PassThrough"},
    }


def function_alias(draft: Draft) -> Entry:
    """An alias has the function's ARN and a name, whether the function is given by name or by ARN."""
    return {"id": "{arn}", "arn": f"{_function_arn(draft)}:{{name}}", "invokeArn": _invoke_arn("{arn}")}


def function_url(draft: Draft) -> Entry:
    """The provider's id is the function's name, with the qualifier where there is one."""
    qualifier = draft.text("qualifier")
    return {
        "id": "{functionName}" + (f"/{qualifier}" if qualifier else ""),
        "functionArn": _function_arn(draft) + (f":{qualifier}" if qualifier else ""),
        "urlId": "{lower32}",
        "functionUrl": "https://{urlId}.lambda-url.{region}.on.aws/",
        "invokeMode": "BUFFERED",
    }


def event_source_mapping(draft: Draft) -> Entry:
    """The mapping is enabled, and has seen nothing yet."""
    return {
        "id": "{uuid}",
        "uuid": draft.uuid(),
        "arn": "arn:{partition}:lambda:{region}:{account}:event-source-mapping:{uuid}",
        "functionArn": _function_arn(draft),
        "lastModified": _CREATED,
        "lastProcessingResult": "No records processed",
        "state": "Enabled",
        "stateTransitionReason": "USER_INITIATED",
    }


def function_event_invoke_config(draft: Draft) -> Entry:
    """The id is the function's name, with the qualifier where there is one."""
    return {"id": "{functionName}" + (":{qualifier}" if draft.text("qualifier") else "")}


def _function_arn(draft: Draft) -> str:
    named = draft.text("functionName")
    return named if named.startswith("arn:") else f"arn:{{partition}}:lambda:{{region}}:{{account}}:function:{named}"


def _invoke_arn(arn: str) -> str:
    return f"arn:{{partition}}:apigateway:{{region}}:lambda:path/2015-03-31/functions/{arn}/invocations"


# IAM


def _principal(kind: str, unique_prefix: str, unique: str) -> Callable[[Draft], Entry]:
    def rule(draft: Draft) -> Entry:
        path = draft.text("path", "/")
        arn = f"arn:{{partition}}:iam::{{account}}:{kind}{path}{{name}}"
        identifier = "{arn}" if kind == "policy" else "{name}"
        dates = {"createDate": _CREATED, "attachmentCount": 0, "maxSessionDuration": 3600}
        return {"id": identifier, "arn": arn, "path": path, unique: f"{unique_prefix}{{upper17}}", **dates}

    return rule


def open_id_connect_provider(draft: Draft) -> Entry:
    """The ARN ends in the issuer's address without its scheme."""
    issuer = draft.text("url").removeprefix("https://")
    return {
        "id": "{arn}",
        "arn": f"arn:{{partition}}:iam::{{account}}:oidc-provider/{issuer}",
        "thumbprintLists": [draft.hex(40)],
    }


# Storage


def dynamodb_table(draft: Draft) -> Entry:
    """A table has a stream only where one is asked for."""
    streaming = draft.inputs.get("streamEnabled") is True
    label = "2026-01-01T00:00:00.000"
    return {
        "id": "{name}",
        "arn": "arn:{partition}:dynamodb:{region}:{account}:table/{name}",
        "billingMode": "PROVISIONED",
        "streamArn": f"{{arn}}/stream/{label}" if streaming else "",
        "streamLabel": label if streaming else "",
    }


def s3_bucket(draft: Draft) -> Entry:
    """A bucket's id is its name; its website's address stands even where no website is configured."""
    del draft
    return {
        "id": "{bucket}",
        "arn": "arn:{partition}:s3:::{bucket}",
        "bucketDomainName": "{bucket}.s3.{dns_suffix}",
        "bucketRegion": "{region}",
        "bucketRegionalDomainName": "{bucket}.s3.{region}.{dns_suffix}",
        "hostedZoneId": "Z{zone.upper13}",
        "websiteDomain": "s3-website-{region}.{dns_suffix}",
        "websiteEndpoint": "{bucket}.{websiteDomain}",
    }


def kms_alias(draft: Draft) -> Entry:
    """The target may be given as a key's id or as its ARN."""
    key = draft.text("targetKeyId")
    region = "arn:{partition}:kms:{region}:{account}:"
    return {
        "id": "{name}",
        "arn": region + "{name}",
        "targetKeyArn": key if key.startswith("arn:") else f"{region}key/{key}",
    }


def ssm_parameter(draft: Draft) -> Entry:
    """A name that begins with a slash doesn't repeat it in the ARN."""
    path = draft.physical_name.lstrip("/")
    return {
        "id": "{name}",
        "arn": f"arn:{{partition}}:ssm:{{region}}:{{account}}:parameter/{path}",
        "dataType": "text",
        "hasValueWo": False,
        "tier": "Standard",
        "version": 1,
    }


def _waf(kind: str) -> Callable[[Draft], Entry]:
    def rule(draft: Draft) -> Entry:
        distributed = draft.text("scope") == "CLOUDFRONT"
        region, scope = ("us-east-1", "global") if distributed else (draft.region, "regional")
        return {
            "id": "{uuid}",
            "arn": f"arn:{{partition}}:wafv2:{region}:{{account}}:{scope}/{kind}/{{name}}/{{id}}",
            "applicationIntegrationUrl": "",
            "capacity": 1,
            "lockToken": "{lock.uuid}",
        }

    return rule


RULES: Final[Mapping[str, Callable[[Draft], Entry]]] = {
    "aws:apigateway/apiKey:ApiKey": api_key,
    "aws:apigateway/usagePlanKey:UsagePlanKey": usage_plan_key,
    "aws:apigatewayv2/api:Api": websocket_or_http_api,
    "aws:apigatewayv2/stage:Stage": websocket_or_http_stage,
    "aws:dynamodb/table:Table": dynamodb_table,
    "aws:iam/group:Group": _principal("group", "AGPA", "uniqueId"),
    "aws:iam/instanceProfile:InstanceProfile": _principal("instance-profile", "AIPA", "uniqueId"),
    "aws:iam/openIdConnectProvider:OpenIdConnectProvider": open_id_connect_provider,
    "aws:iam/policy:Policy": _principal("policy", "ANPA", "policyId"),
    "aws:iam/role:Role": _principal("role", "AROA", "uniqueId"),
    "aws:iam/user:User": _principal("user", "AIDA", "uniqueId"),
    "aws:kms/alias:Alias": kms_alias,
    "aws:lambda/alias:Alias": function_alias,
    "aws:lambda/eventSourceMapping:EventSourceMapping": event_source_mapping,
    "aws:lambda/function:Function": function,
    "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig": function_event_invoke_config,
    "aws:lambda/functionUrl:FunctionUrl": function_url,
    "aws:s3/bucket:Bucket": s3_bucket,
    "aws:s3/bucketV2:BucketV2": s3_bucket,
    "aws:ssm/parameter:Parameter": ssm_parameter,
    "aws:wafv2/ipSet:IpSet": _waf("ipset"),
    "aws:wafv2/regexPatternSet:RegexPatternSet": _waf("regexpatternset"),
    "aws:wafv2/ruleGroup:RuleGroup": _waf("rulegroup"),
    "aws:wafv2/webAcl:WebAcl": _waf("webacl"),
}
"""The rule of each type that has one."""
