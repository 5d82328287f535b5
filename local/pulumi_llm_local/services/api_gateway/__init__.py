"""API Gateway, as the program's resources configure it."""
