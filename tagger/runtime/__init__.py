"""What `predict` and `eval` need: the model directory, decoding, prediction. No TensorFlow, no yaml, no pydantic."""
