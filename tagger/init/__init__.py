"""A config for files that have none: what the files are, how they are read, and vectors that fit."""
