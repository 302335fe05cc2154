"""Precision, recall and F1 of a model, and tests of whether a difference between two models is luck."""
