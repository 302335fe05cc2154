"""A config for files that have none: what the files are, how they are read, and the recipe that fits."""
