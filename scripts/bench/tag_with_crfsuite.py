"""Train and run python-crfsuite as its users do: features in Python, one sentence after the other.

    python scripts/bench/tag_with_crfsuite.py train TRAIN.conll MODEL [--sentences 5000]
    python scripts/bench/tag_with_crfsuite.py tag MODEL FILE > tagged.conll

The features are those of its tutorial without parts of speech: the word, its ending and its shape, and the words and
shapes of its neighbours.
"""

from __future__ import annotations

import argparse
import itertools
import sys

import pycrfsuite

from tagger.corpus.conll import read_sentences, write_sentence
from tagger.corpus.layout import Layout
from tagger.corpus.lines import open_corpus

LAYOUT = Layout(columns={"token": 0, "tag": -1})


def features(tokens: list[str], i: int) -> list[str]:
    word = tokens[i]
    found = [
        "bias", f"word.lower={word.lower()}", f"word[-3:]={word[-3:]}", f"word[-2:]={word[-2:]}",
        f"word.isupper={word.isupper()}", f"word.istitle={word.istitle()}", f"word.isdigit={word.isdigit()}",
    ]  # fmt: skip
    for offset, edge in ((-1, "BOS"), (1, "EOS")):
        if 0 <= i + offset < len(tokens):
            near = tokens[i + offset]
            found += [
                f"{offset}:word.lower={near.lower()}", f"{offset}:word.istitle={near.istitle()}",
                f"{offset}:word.isupper={near.isupper()}",
            ]  # fmt: skip
        else:
            found.append(edge)
    return found


def train(path: str, model: str, n_sentences: int) -> None:
    trainer = pycrfsuite.Trainer(verbose=False)
    trainer.set_params({"c1": 0.1, "c2": 0.01, "max_iterations": 30})
    with open_corpus(path) as stream:
        sentences = (s for s in read_sentences(stream, LAYOUT, gold=True) if s.tokens)
        for sentence in itertools.islice(sentences, n_sentences):
            trainer.append([features(sentence.tokens, i) for i in range(len(sentence.tokens))], sentence.tags)
    trainer.train(model)


def tag(model: str, path: str) -> None:
    tagger = pycrfsuite.Tagger()
    tagger.open(model)
    with open_corpus(path) as stream:
        for sentence in read_sentences(stream, LAYOUT, path=path):
            tags = tagger.tag([features(sentence.tokens, i) for i in range(len(sentence.tokens))])
            sys.stdout.buffer.write(write_sentence(sentence, [tags], LAYOUT))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    training = commands.add_parser("train")
    training.add_argument("path")
    training.add_argument("model")
    training.add_argument("--sentences", type=int, default=5000)
    tagging = commands.add_parser("tag")
    tagging.add_argument("model")
    tagging.add_argument("path")
    arguments = parser.parse_args()
    if arguments.command == "train":
        train(arguments.path, arguments.model, arguments.sentences)
    else:
        tag(arguments.model, arguments.path)


if __name__ == "__main__":
    main()
