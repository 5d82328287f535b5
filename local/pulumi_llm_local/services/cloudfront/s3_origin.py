"""A bucket as an origin, with the files that the program puts there."""

import fnmatch
import hashlib
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from html import escape
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote

from multidict import CIMultiDict

from pulumi_llm_local.program.graph import Graph, Resource
from pulumi_llm_local.services.cloudfront.origin import OriginAnswer, OriginRequest

BUCKET = "aws:s3/bucket:Bucket"
BUCKET_POLICY = "aws:s3/bucketPolicy:BucketPolicy"
OBJECT = "aws:s3/bucketObjectv2:BucketObjectv2"


def bucket_of(graph: Graph, domain_name: str) -> Resource | None:
    """The bucket of a domain name, if it is one of the program's."""
    names = ("bucketRegionalDomainName", "bucketDomainName")
    return next((b for b in graph.of_type(BUCKET) if domain_name in [b.state[name] for name in names]), None)


class S3Origin:
    """A private bucket that CloudFront reads by an origin access control, if the bucket's policy lets it.

    https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-restricting-access-to-s3.html
    """

    def __init__(self, graph: Graph, bucket: Resource, distribution_arn: str, *, signed: bool) -> None:
        name, arn = bucket.state["bucket"], str(bucket.state["arn"])
        policies = [policy for policy in graph.of_type(BUCKET_POLICY) if policy.state["bucket"] == name]
        allowed = [signed and _allows(policies, action, of, distribution_arn) for action, of in _needed(arn)]
        self._readable, self._listable = allowed
        self._objects = {str(each.state["key"]): each.state for each in graph.of_type(OBJECT) if each.state["bucket"] == name}

    @asynccontextmanager
    async def answer(self, request: OriginRequest) -> AsyncGenerator[OriginAnswer]:
        key = unquote(request.target.partition("?")[0]).removeprefix("/")
        found = self._objects.get(key)
        if request.method not in ("GET", "HEAD") or not (self._listable if key == "" or found is None else self._readable):
            yield _error(403, "AccessDenied", "Access Denied")
            return
        if key == "":
            keys = "".join(f"<Contents><Key>{escape(each)}</Key></Contents>" for each in sorted(self._objects))
            yield _xml(200, f"<ListBucketResult>{keys}</ListBucketResult>")
            return
        # "If you don't have the s3:ListBucket permission, Amazon S3 returns an HTTP status code 403", above.
        # https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html (Permissions)
        if found is None:
            yield _error(404, "NoSuchKey", "The specified key does not exist.")
            return
        content = _content(found)
        headers = CIMultiDict(
            {
                "content-type": str(found.get("contentType") or "binary/octet-stream"),
                "etag": f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"',
                "accept-ranges": "bytes",
                "server": "AmazonS3",
            }
        )
        if cache_control := found.get("cacheControl"):
            headers["cache-control"] = str(cache_control)
        if headers["etag"] in request.headers.get("if-none-match", ""):
            yield OriginAnswer(304, headers)
        else:
            yield OriginAnswer(200, headers, content)


def _content(state: Mapping[str, Any]) -> bytes:
    if state.get("content") is not None:
        return str(state["content"]).encode()
    source = cast("dict[str, str]", state["source"])
    return Path(source["path"]).read_bytes() if "path" in source else source["text"].encode()


def _error(status: int, code: str, message: str) -> OriginAnswer:
    return _xml(status, f"<Error><Code>{code}</Code><Message>{message}</Message></Error>")


def _xml(status: int, element: str) -> OriginAnswer:
    headers = CIMultiDict({"content-type": "application/xml", "server": "AmazonS3"})
    return OriginAnswer(status, headers, f'<?xml version="1.0" encoding="UTF-8"?>\n{element}'.encode())


def _needed(bucket_arn: str) -> Sequence[tuple[str, str]]:
    """What reads an object, and what tells a missing one: each action with an ARN that it is for."""
    return ("s3:getobject", f"{bucket_arn}/key"), ("s3:listbucket", bucket_arn)


def _allows(policies: Sequence[Resource], action: str, arn: str, distribution_arn: str) -> bool:
    """Whether a statement of a bucket policy allows the distribution an action."""
    documents: list[dict[str, Any]] = [json.loads(str(policy.state["policy"])) for policy in policies]
    for statement in [statement for document in documents for statement in _list(document["Statement"])]:
        principal: Any = statement.get("Principal")
        services = _list(cast("dict[str, Any]", principal).get("Service")) if isinstance(principal, dict) else []
        if (
            statement["Effect"] == "Allow"
            and "cloudfront.amazonaws.com" in services
            and any(fnmatch.fnmatchcase(action, str(pattern).lower()) for pattern in _list(statement.get("Action")))
            and any(fnmatch.fnmatchcase(arn, str(pattern)) for pattern in _list(statement.get("Resource")))
            and _holds(statement.get("Condition") or {}, distribution_arn)
        ):
            return True
    return False


def _holds(condition: Mapping[str, Mapping[str, Any]], distribution_arn: str) -> bool:
    """Whether a condition holds. One about anything but the distribution's ARN does not."""
    for operator, keys in condition.items():
        for key, patterns in keys.items():
            if operator not in ("StringEquals", "StringLike", "ArnEquals", "ArnLike") or key.lower() != "aws:sourcearn":
                return False
            exact = operator == "StringEquals"
            matches = [
                distribution_arn == pattern if exact else fnmatch.fnmatchcase(distribution_arn, str(pattern))
                for pattern in _list(patterns)
            ]
            if not any(matches):
                return False
    return True


def _list(value: Any) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else [] if value is None else [value]
