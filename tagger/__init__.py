"""A command-line tagger for named entities and chunks that learns from, and tags, CoNLL files."""

__version__ = "0.1.0"
