"""Raw text, cut into sentences and tokens."""
