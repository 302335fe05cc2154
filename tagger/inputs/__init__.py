"""Sentences to arrays: vocabularies, characters, encoding and batches."""
