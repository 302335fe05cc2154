"""Train the first block of a network on text without labels."""
