"""The functions' entry points: one module or folder each."""
