"""Amazon Bedrock's stand-in."""
