"""Pretrained word vectors: reading them, and finding the vectors of the tokens of a vocabulary."""
