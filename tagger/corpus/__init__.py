"""Conversion of CoNLL text to sentences: lines, columns and tag schemes. Every byte is kept."""
