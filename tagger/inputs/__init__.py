"""Sentences in, arrays out: vocabularies, characters, encoding, batches."""
