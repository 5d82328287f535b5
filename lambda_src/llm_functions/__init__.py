"""The entry points of the functions, each a module or a folder."""
