"""The page's files in the bucket.

None of them needs an invalidation. A hashed name never gets another content, and everything else is asked for anew: by
browsers each time, by CloudFront after one second (the least that its policy CachingOptimized keeps what says no-cache).
https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_CachePolicyConfig.html (MinTTL)
https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/using-managed-cache-policies.html
"""

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

import pulumi
from pulumi_aws import s3

from pulumi_llm.base import web_client
from pulumi_llm.base.component import Component
from pulumi_llm.cdn_frontend.args import WEBSOCKET_PATH, CdnFrontendSettings

_INDEX = "index.html"


def file_names(paths: Iterable[str]) -> dict[str, str]:
    """Return the names of the files' resources by path: the path without its hash, so that a changed file keeps its name."""
    without = {path: re.sub(r"-[\w-]{8}(?=\.\w+$)", "", path) if web_client.is_hashed(path) else path for path in paths}
    count = Counter(without.values())
    return {path: name if count[name] == 1 else path for path, name in without.items()}


def upload(component: Component, settings: CdnFrontendSettings, bucket: s3.Bucket, ready: list[pulumi.Resource]) -> None:
    """Put the page's files and its runtime configuration into the bucket; index.html last, which names the others."""
    files = settings.page_files()
    names = file_names(files)
    index = files.pop(_INDEX)
    before: list[pulumi.Resource] = [
        _object(component, "config", "", bucket, web_client.CONFIG_FILE, ready, content=_config(settings)),
        *(_object(component, "file", names[path], bucket, path, ready, file=file) for path, file in files.items()),
    ]
    _object(component, "file", names[_INDEX], bucket, _INDEX, before, file=index)


def _object(
    component: Component,
    key: str,
    name: str,
    bucket: s3.Bucket,
    path: str,
    after: list[pulumi.Resource],
    *,
    file: Path | None = None,
    content: pulumi.Input[str] | None = None,
) -> s3.BucketObjectv2:
    return s3.BucketObjectv2(
        component.child_name(key) + (f"-{name}" if name else ""),
        bucket=bucket.bucket,
        key=path,
        source=pulumi.FileAsset(str(file)) if file is not None else None,
        content=content,
        content_type=web_client.content_type(path),
        cache_control=web_client.cache_control(path),
        # S3 takes ten tags of an object, and bills them: not even the provider's default tags are put here.
        override_provider={"default_tags": {"tags": {}}},
        opts=component.child(key, depends_on=after),
    )


def _config(settings: CdnFrontendSettings) -> pulumi.Output[str]:
    websocket_url = WEBSOCKET_PATH if settings.websocket_url is not None else ""
    # Lambda refuses a body that is not signed, and CloudFront signs it by its hash.
    hashed = settings.function_url is not None

    def content(api_url: str) -> str:
        config = web_client.config(urlsplit(api_url).path, websocket_url=websocket_url, stream_body_hash=hashed)
        return config.decode()

    return pulumi.Output.from_input(settings.api_url).apply(content)
