"""Precision, recall and F1, and whether a difference between two models is luck."""
