"""Conversion of sentences to arrays: vocabularies, characters, encoding and batches."""
