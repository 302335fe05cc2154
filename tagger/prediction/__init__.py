"""From sentences to tags with ONNX Runtime; no TensorFlow."""
