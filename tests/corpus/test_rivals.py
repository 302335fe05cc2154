"""Files in which another column than the first one holds the words, or another one than the last one the tags."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tagger.corpus.detection import Detected, Requested, detect_layout

SYLLABLES = ("ba", "ko", "mi", "ru", "te", "so")
Row = Callable[[int, int, str, str, random.Random], tuple[str, ...]]


def written(path: Path, row: Row, *, n: int = 400) -> str:
    """Write sentences of five tokens, of which each fourth or so is an entity; `row` gets the places and the word."""
    rng = random.Random(1)
    lines = []
    for sentence in range(n // 5):
        for i in range(5):
            word = "".join(rng.choices(SYLLABLES, k=rng.choice((1, 2, 3))))
            tag = rng.choice(("O", "O", "O", "B-PER", "B-LOC"))
            lines.append("\t".join(row(sentence, i, word, tag, rng)))
        lines.append("")
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def detected(path: Path, row: Row, **requested: object) -> Detected:
    return detect_layout(written(path, row), Requested(**requested))  # type: ignore[arg-type]


WRONG_TOKENS: dict[str, Row] = {
    "offsets": lambda s, i, word, tag, rng: (f"{7 * i}-{7 * i + len(word)}", word, tag),
    "times": lambda s, i, word, tag, rng: (f"{i / 4 + rng.random():.2f}", word, tag),
    "ids": lambda s, i, word, tag, rng: (f"d{s}.{i}", word, tag),
    "token ids": lambda s, i, word, tag, rng: (f"t{i + 1}", word, tag),
    "parts of speech": lambda s, i, word, tag, rng: (rng.choice(("NN", "VB", "DT")), word, tag),
    "languages": lambda s, i, word, tag, rng: (rng.choice(("en", "de")), word, tag),
    "case": lambda s, i, word, tag, rng: (rng.choice(("Cap", "low")), word, tag),
    "dates": lambda s, i, word, tag, rng: (f"2020-01-{1 + s % 28:02}", word, tag),
    "features": lambda s, i, word, tag, rng: (f"Case=Nom|Number={i}", word, tag),
}


@pytest.mark.parametrize("row", WRONG_TOKENS.values(), ids=WRONG_TOKENS)
def test_a_first_column_without_words_is_doubted(tmp_path: Path, row: Row) -> None:
    (doubt,) = detected(tmp_path / "f", row).doubts
    assert doubt.startswith("the tokens in column 0 (")
    assert "set data.columns.token to 1, or to 0 if it is right" in doubt
    for token in (0, 1):
        assert detected(tmp_path / "f", row, columns={"token": token}).doubts == (), "the user has decided"


WRONG_TAGS: dict[str, Row] = {
    "speakers": lambda s, i, word, tag, rng: (word, tag, f"S-{s % 9}"),
    "sentence positions": lambda s, i, word, tag, rng: (word, tag, "I-S" if i else "B-S"),
    "prefixed parts of speech": lambda s, i, word, tag, rng: (word, tag, f"B-{rng.choice(('NN', 'VB'))}"),
    "coreference": lambda s, i, word, tag, rng: (word, tag, rng.choice(("O", "O", f"B-{s % 7}"))),
    "bare types, then parts of speech": lambda s, i, word, tag, rng: (word, tag[2:] or "O", rng.choice("NVD")),
    "bare types, then chunks": lambda s, i, word, tag, rng: (word, tag[2:] or "O", rng.choice(("B-NP", "I-NP", "O"))),
    "parts of speech, then a flag": lambda s, i, word, tag, rng: (
        word,
        rng.choice(("NN", "VB", "DT")),
        rng.choice("YN"),
    ),
}


@pytest.mark.parametrize("row", WRONG_TAGS.values(), ids=WRONG_TAGS)
def test_a_last_column_that_may_not_be_the_tags_is_doubted(tmp_path: Path, row: Row) -> None:
    found = detected(tmp_path / "f", row)
    assert found.doubts == ("columns 1 and 2 could all hold the tags; set data.columns.tag to the one to learn",)
    for tag in (1, 2):
        assert detected(tmp_path / "f", row, columns={"tag": tag}).doubts == (), "the user has decided"


def noisy(tag: str, rng: random.Random) -> str:
    return rng.choice(("O", "B-LOC")) if rng.random() < 0.2 else tag


def test_gold_and_predicted_tags_are_doubted_and_layers_and_copies_are_not(tmp_path: Path) -> None:
    doubt = (
        "columns 1 and 2 hold nearly the same tags, as gold and predicted ones do; set data.columns.tag to the one to"
        " learn"
    )
    assert detected(tmp_path / "f", lambda s, i, word, tag, rng: (word, tag, noisy(tag, rng))).doubts == (doubt,)
    # Silver tags that hold all gold ones are not an outer layer of them.
    silver: Row = lambda s, i, word, tag, rng: (word, "B-PER" if tag == "O" and rng.random() < 0.1 else tag, tag)  # noqa: E731
    assert detected(tmp_path / "f", silver).doubts == (doubt,)
    copy = detected(tmp_path / "f", lambda s, i, word, tag, rng: (word, tag, tag))
    assert (copy.doubts, copy.layout.columns["tag"]) == ((), 1)


def test_scores_after_plain_tags_are_not_the_tags(tmp_path: Path) -> None:
    found = detected(
        tmp_path / "f", lambda s, i, word, tag, rng: (word, rng.choice(("NN", "VB")), f"{rng.random():.2f}")
    )
    assert (found.layout.columns["tag"], found.doubts) == (1, ())


@pytest.mark.parametrize("tags", [("O", "PER", "LOC"), ("NN", "VB", "DT")])
def test_tags_without_prefixes_in_the_first_column_are_doubted(tmp_path: Path, tags: tuple[str, ...]) -> None:
    (doubt,) = detected(tmp_path / "f", lambda s, i, word, tag, rng: (rng.choice(tags), word)).doubts
    assert doubt.startswith("column 0 has 3 different values, as tags have, and column 1 ")
    assert "set data.columns.token to 1 and data.columns.tag to 0" in doubt


USUAL: dict[str, Row] = {
    "two columns": lambda s, i, word, tag, rng: (word, tag),
    "lemma": lambda s, i, word, tag, rng: (word, word[:4], tag),
    "parts of speech": lambda s, i, word, tag, rng: (word, rng.choice(("NN", "VB")), tag),
    "chunks": lambda s, i, word, tag, rng: (word, "NN", rng.choice(("B-NP", "I-NP", "O")), tag),
    "ids after the word": lambda s, i, word, tag, rng: (word, f"d{s}.{i}", tag),
    "spans without types": lambda s, i, word, tag, rng: (word, rng.choice(("NN", "VB", "DT")), rng.choice("BIO")),
    "one bare type": lambda s, i, word, tag, rng: (
        word,
        rng.choice(("NN", "VB", "DT")),
        rng.choice(("O", "O", "GENE")),
    ),
    "no entity": lambda s, i, word, tag, rng: (word, rng.choice(("NN", "VB", "DT")), "O"),
    "characters": lambda s, i, word, tag, rng: (chr(0x4E00 + len(word) * 37 + i + s % 90), word, tag),
    "tokens with digits": lambda s, i, word, tag, rng: (
        f"{word}{i}",
        rng.choice([f"P{'ABCDEFGHIJKL'[n]}" for n in range(12)]),
        tag,
    ),
    "coarse and fine types": lambda s, i, word, tag, rng: (word, f"{tag}-x" if tag != "O" and i == 2 else tag, tag),
    "few words": lambda s, i, word, tag, rng: (word[:2], rng.choice(("NN", "VB")), tag),
}


@pytest.mark.parametrize("row", USUAL.values(), ids=USUAL)
def test_usual_columns_are_not_doubted(tmp_path: Path, row: Row) -> None:
    found = detected(tmp_path / "f", row)
    assert (found.doubts, found.layout.columns["token"]) == ((), 0)
    assert found.layout.columns["tag"] == (1 if row is USUAL["coarse and fine types"] else -1)
