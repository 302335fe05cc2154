"""CoNLL text in, sentences out: lines, columns, tag schemes; every byte is kept."""
