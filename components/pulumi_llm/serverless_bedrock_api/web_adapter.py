"""AWS's Lambda Web Adapter: the layer that AWS publishes, and where."""

# The account that publishes it, and the layer. https://github.com/aws/aws-lambda-web-adapter
ACCOUNT = "753240598075"
LAYER = "LambdaAdapterLayerArm64"
# The adapter 1.1.0, the newest that examples/fastapi-snapstart-zip of its repository names (27 is 1.0.0, 28 is 1.0.1).
VERSION = 30

# The Regions that releases go to: .github/workflows/prod.json of its repository (2026-03-27), without me-central-1, which
# release 1.0.1 dropped on this day (CHANGELOG.md). It skipped China, too; GovCloud never had the layer (issue 277).
PUBLISHED = "2026-05-28"
_REGIONS = """
af-south-1 ap-east-1 ap-east-2 ap-northeast-1 ap-northeast-2 ap-northeast-3 ap-south-1 ap-south-2 ap-southeast-1 ap-southeast-2
ap-southeast-3 ap-southeast-4 ap-southeast-5 ap-southeast-6 ap-southeast-7 ca-central-1 ca-west-1 eu-central-1 eu-central-2
eu-north-1 eu-south-1 eu-south-2 eu-west-1 eu-west-2 eu-west-3 il-central-1 mx-central-1 sa-east-1 us-east-1 us-east-2 us-west-1
us-west-2
"""
REGIONS = frozenset(_REGIONS.split())
