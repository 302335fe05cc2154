"""Pretrained word vectors: reading them, and finding those of a vocabulary."""
