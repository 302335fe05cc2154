"""Parts of tagger that plug into other libraries."""
