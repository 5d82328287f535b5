"""A static website: a public bucket with the website endpoint, and CloudFront before it, the way many first tutorials do it."""

import json

import pulumi
import pulumi_aws as aws

config = pulumi.Config()
index_document = config.get("indexDocument") or "index.html"
error_document = config.get("errorDocument") or "error.html"

bucket = aws.s3.Bucket("site")
website = aws.s3.BucketWebsiteConfiguration(
    "site",
    bucket=bucket.id,
    index_document={"suffix": index_document},
    error_document={"key": error_document},
)
ownership = aws.s3.BucketOwnershipControls("site", bucket=bucket.id, rule={"object_ownership": "BucketOwnerPreferred"})
access = aws.s3.BucketPublicAccessBlock("site", bucket=bucket.id, block_public_acls=False, block_public_policy=False)
readable = aws.s3.BucketPolicy(
    "site",
    bucket=bucket.id,
    policy=bucket.arn.apply(
        lambda arn: json.dumps(
            {
                "Version": "2012-10-17",
                "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"{arn}/*"}],
            }
        )
    ),
    opts=pulumi.ResourceOptions(depends_on=[access]),
)
for name in (index_document, error_document):
    aws.s3.BucketObjectv2(
        name,
        bucket=bucket.id,
        key=name,
        content=f"<h1>{name}</h1>",
        content_type="text/html",
        opts=pulumi.ResourceOptions(depends_on=[ownership]),
    )

cdn = aws.cloudfront.Distribution(
    "cdn",
    enabled=True,
    default_root_object=index_document,
    origins=[
        {
            "origin_id": bucket.arn,
            "domain_name": website.website_endpoint,
            "custom_origin_config": {
                "origin_protocol_policy": "http-only",
                "http_port": 80,
                "https_port": 443,
                "origin_ssl_protocols": ["TLSv1.2"],
            },
        }
    ],
    default_cache_behavior={
        "target_origin_id": bucket.arn,
        "viewer_protocol_policy": "redirect-to-https",
        "allowed_methods": ["GET", "HEAD", "OPTIONS"],
        "cached_methods": ["GET", "HEAD", "OPTIONS"],
        "default_ttl": 600,
        "max_ttl": 600,
        "min_ttl": 600,
        "forwarded_values": {"query_string": True, "cookies": {"forward": "all"}},
    },
    price_class="PriceClass_100",
    custom_error_responses=[{"error_code": 404, "response_code": 404, "response_page_path": f"/{error_document}"}],
    restrictions={"geo_restriction": {"restriction_type": "none"}},
    viewer_certificate={"cloudfront_default_certificate": True},
)

pulumi.export("url", pulumi.Output.concat("https://", cdn.domain_name))
