"""Tagging of sentences with ONNX Runtime. This package does not import TensorFlow."""
