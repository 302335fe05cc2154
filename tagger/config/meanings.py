"""What each key of the config means, for its JSON Schema, for `tagger config show` and for shell completion.

The reference in docs/config.md has the same texts. This module imports nothing, so that completion stays fast.
"""

from __future__ import annotations

# Section → key → meaning. In a meaning, `null: …` says what a value of null stands for; so do `auto: …` and `{}: …`.
MEANINGS: dict[str, dict[str, str]] = {
    "data": {
        "train": "required: the training file, a list of files, or a glob",
        "dev": "a file (or several), the fraction of the training sentences to hold out, or null",
        "test": "the file (or several) that `tagger eval` scores by default",
        "columns": "{token: 0, tag: -1}: the index or header name of each column; {}: found in the file",
        "delimiter": "auto | tab | space | any text; null: found in the file",
        "comments": "none | the prefix of comment lines; auto: found in the file",
        "format": "jsonl | csv | conllu | …, as for tagger convert; null: found in each file",
        "names": "the names of tags that files number, [O, B-PER, …], or a file of names",
        "offsets": "characters | utf-16 | bytes: how files count characters; null: characters",
        "align": "error | expand | contract | split | drop: spans beside tokens; null: error",
        "overlap": "error | longest | first | outer | inner: overlapping spans; null: error",
        "labels": "{map: {GPE: LOC}, keep: [PER, LOC]}: types to rename, then those to keep",
        "language": "en | de | hu | …: how raw text is cut into tokens, here and in tagger predict --text; null: en",
        "scheme": (
            "IOB1 | IOB2 | IOE1 | IOE2 | IOBES | BILOU | BIOS | BIOE | IO | none (plain tags); auto: found in the file"
        ),
        "encoding": "any that is compatible with ASCII",
        "tag_key": "the key that names the tag in CoNLL-U's MISC column (name=B-PER); null: found in the file",
        "several_tags": "first | last: which tag of B-PER|B-LOC to read; null: such tags are an error",
        "unknown_tag": '"?": the tag of tokens that are not annotated; null: all tokens are',
        "annotated": "with --init-from: types that train annotates; auto: those that occur; all; or [PER, LOC]",
        "ragged": "true: lines may have different numbers of columns; null: found in the file",
        "trust": "true: train although the data look misread",
        "max_length": "most tokens that the network sees at once, up to 1048576; null: 512",
    },
    "vocabulary": {
        "min_count": "tokens that occur less often are unknown",
        "lowercase": "look tokens up in lower case; null: true without vectors if the network reads characters",
        "normalize_digits": (
            "look tokens up with every digit as 0; null: true without vectors if the network reads characters"
        ),
        "max_size": "keep only this many of the most frequent tokens; null: all",
        "unk_probability": "how often a token that occurs only once is shown as unknown",
        "word_dropout": "how often any token is shown as unknown",
        "character_dropout": "how often any character is shown as unknown",
    },
    "embeddings": {
        "path": "a file of vectors",
        "name": "glove-6b-50d",
        "trainable": "false: rows initialized with a pretrained vector are not trained",
        "max_rows": "most tokens that only the vectors know; null: all",
        "dtype": "float32 | float16: how the model stores the embedding",
    },
    "features": {
        "lists": "{city: cities.txt}: files of phrases, one a line; tokens inside their matches are marked",
        "ignore_case": "whether lists ignore upper and lower case",
        "list_dropout": "how often a match of a list is hidden in training",
        "clusters": "a file of Brown clusters, as word TAB bits",
        "cluster_language": "de | en | es: the clusters of the package spacy-lookups-data instead",
        "cluster_bits": "the lengths of the beginnings of a cluster's bits that the network reads",
        "subwords": (
            "byte-pair merges learned from train; the network reads a token's first and last subword; null: 2000, or 0 "
            "with vectors, with model.pretrained or without characters"
        ),
    },
    "model": {
        "embedding_dim": "size of the word embedding; with vectors, their size",
        "characters": "none | cnn | lstm: how the network reads the characters of a token",
        "character_dim": "size of the embedding of a character",
        "character_units": "size of the output of the character network for one token",
        "casing": "an embedding of the token's shape: digits, lower, upper, Initial, …",
        "feature_dim": "size of the embedding of each feature: a column, a list, a length of cluster bits, a subword",
        "units": "LSTM units in each direction",
        "layers": "stacked blocks of two branches",
        "direction": "both | forward | backward",
        "merge": "concat | sum | mul | ave: how the two branches become one",
        "dropout": "on the output of each block",
        "input_dropout": "on the input of the first block",
        "token_dropout": "on the representation of each distinct token (embedding, characters, casing, features)",
        "recurrent_dropout": "on the recurrent weights",
        "decoder": "crf | constrained | softmax; null: crf, or constrained for plain tags and with label_smoothing",
        "scheme": "IOB2 | IOBES: the scheme that the network learns",
        "pretrained": "a directory that tagger pretrain wrote, to begin with",
    },
    "training": {
        "pretraining_epochs": (
            "how often the training sentences are first read as text, without their tags; null: chosen from the "
            "number of training tokens, 10 or less, or 0 if the network begins with something else"
        ),
        "epochs": "most epochs; null: chosen from the number of training sentences, 30 or more",
        "batch_size": "sentences in a batch; null: chosen from the number of training sentences, 4 to 32",
        "optimizer": "adam | nadam | sgd (with momentum 0.9)",
        "learning_rate": "learning rate of the first epoch",
        "decay": "the rate of epoch n, counted from 0, is learning_rate / (1 + decay * n)",
        "steps": "{20: 0.1}: multiplies the rate by 0.1 from epoch 20 on (here epochs are counted from 1)",
        "clip_norm": "largest norm of all gradients together; null: no clipping",
        "ema": "decay of the moving average of the weights; null: no average",
        "label_smoothing": "share of the gold tag's probability that is spread over all tags",
        "type_weights": "{PER: 2.0}: multiplies the loss of tokens of these types; others have 1",
        "accumulate": "compute each batch in this many parts",
        "freeze": "[embedding, characters, casing, features, block_1, branches, softmax, crf]: weights that stay",
        "patience": (
            "epochs without a better dev F1 before training ends; auto: chosen from the number of training "
            "sentences, 5 or 10; null: no early end"
        ),
        "seed": "the same seed on the same machine gives the same model",
        "threads": "null: all cores",
        "mixed_precision": "LSTMs in float16, on a GPU only",
        "calibrate": "fit on dev how sure the model is, so that probabilities of spans mean a precision",
        "checkpoint_minutes": "how often the state is saved within an epoch or a pretraining; null: only at its end",
        "log": "[tensorboard, mlflow]: logs beside the model, for which they must be installed",
    },
    "output": {
        "model_dir": "null: models/<config name> in the working directory",
        "quantize": "int8: prediction computes with 8-bit weights; null: with 32-bit weights",
        "quantize_loss": "with quantize: largest loss of F1 on dev, in percentage points; 100: any",
    },
}

# The keys of `tagger pretrain`.
PRETRAINING_KEYS: dict[str, tuple[str, ...]] = {
    "vocabulary": ("min_count", "max_size", "lowercase", "normalize_digits"),
    "embeddings": ("path", "name", "trainable", "max_rows"),
    "model": ("embedding_dim", "characters", "character_dim", "character_units", "casing", "units"),
    "training": (
        "epochs", "streams", "steps", "samples", "learning_rate", "reset_states", "held_out", "seed", "threads",
        "checkpoint_minutes",
    ),
}  # fmt: skip


def stands_for(meaning: str, value: str) -> str | None:
    """Return what a meaning says that a value stands for; None if it says nothing.

    >>> stands_for("most epochs; null: chosen from the data", "null")
    'chosen from the data'
    """
    for part in meaning.split("; "):
        if part.startswith(f"{value}: "):
            return part.removeprefix(f"{value}: ")
    return None
