"""The files of a model directory: the manifest, and reading and writing all of them."""
