"""Every way in and out but plain CoNLL: one file for each format, and documents between them."""
