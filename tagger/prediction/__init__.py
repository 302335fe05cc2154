"""Tagging of sentences with ONNX Runtime. This package does not import TensorFlow."""

import os

# Since version 1.32, ONNX Runtime's builds send events to its maker over the network and keep a device id in the home
# folder, unless this is set when it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
