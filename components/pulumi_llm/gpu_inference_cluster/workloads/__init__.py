"""What runs in the cluster: the Kubernetes objects of each served model, as plain data."""
