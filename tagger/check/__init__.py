"""What is wrong with a corpus, and a repaired copy of it."""
