"""What a program costs: its resources by a table of AWS's prices, its models by the catalogue."""
