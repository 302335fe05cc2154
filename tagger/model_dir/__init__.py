"""The files of a model directory, what its manifest says, reading and writing it."""
