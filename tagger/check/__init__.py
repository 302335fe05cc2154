"""Checks that find what is wrong with a corpus, and a repaired copy of it."""
