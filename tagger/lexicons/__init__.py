"""Word lists and clusters of words: reading those of the user, and how much of a corpus they cover."""
