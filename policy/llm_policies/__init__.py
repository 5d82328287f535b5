"""Rules for Pulumi programs on AWS that serve language models: least privilege, limits, spend, protection."""
