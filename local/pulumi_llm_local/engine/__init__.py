"""The real Pulumi engine, with stand-ins for AWS and Kubernetes: a program's preview, up and destroy without an account."""
