"""Checks that find the problems of a corpus, and the writing of repaired copies."""
