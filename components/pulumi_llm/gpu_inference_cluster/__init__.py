"""GpuInferenceCluster: an EKS cluster on which vLLM serves open models."""
