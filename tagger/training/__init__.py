"""Training: from a config to a model directory, saved states, and training with several seeds."""
