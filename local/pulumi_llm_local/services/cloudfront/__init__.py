"""CloudFront, as the program's resources configure it."""
