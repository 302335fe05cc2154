"""Text in, arrays out: CoNLL files to padded id batches. Numpy only; read conll → schemes → vocabulary → batching."""
