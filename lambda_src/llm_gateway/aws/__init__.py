"""AWS's APIs over our own signed HTTP."""
