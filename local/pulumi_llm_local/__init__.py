"""The stack on one machine: the program's resource graph, and what plays each AWS service in it."""
