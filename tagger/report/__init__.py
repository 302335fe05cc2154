"""A page about a model and its errors on a gold file."""
