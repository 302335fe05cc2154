"""Pretrained word vectors: how they are read, and how those of a vocabulary are found."""
