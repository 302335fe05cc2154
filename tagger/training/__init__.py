"""One training from a config to a model directory, its states, and several seeds."""
