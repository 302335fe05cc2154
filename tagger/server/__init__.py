"""Serves models over HTTP: the processes, the limits, the interface and its page."""
