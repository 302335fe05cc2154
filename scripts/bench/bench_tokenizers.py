"""Compare tokenizers: agreement with the tokens and sentences of corpora, speed, start-up time, size and licence.

The libraries are spacy<4, sentencex, nltk, icu4py, SoMaJo, nupunkt, sacremoses, syntok, uniseg and blingfire; all of
them must be installed.

A corpus with `# text =` lines is compared exactly. The text of the others was restored with NLTK's published
TreebankWordDetokenizer (English) or by joining tokens with blanks (other languages: only splits count), so their
numbers are approximate.
"""

from __future__ import annotations

import argparse
import gzip
import importlib.metadata
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path

Spans = list[tuple[int, int]]
Cut = Callable[[str], Spans]
ENGLISH = "en"


def of_texts(text: str, tokens: Iterable[str]) -> Spans:
    """Return the offsets of tokens that a library returns as texts; those that it has changed are left out."""
    spans, at = [], 0
    for token in tokens:
        start = text.find(token, at)
        if start >= 0 and token.strip():
            spans.append((start, at := start + len(token)))
    return spans


def spacy_cut(language: str, *, keep_hyphens: bool = False) -> Cut:
    import spacy
    from spacy.util import compile_infix_regex

    tokenizer = spacy.blank(language).tokenizer
    if keep_hyphens:
        kept = [rule for rule in spacy.blank(language).Defaults.infixes if "-|" not in rule and "|-" not in rule]
        tokenizer.infix_finditer = compile_infix_regex(kept).finditer
    return lambda text: [(t.idx, t.idx + len(t)) for t in tokenizer(text) if not t.text.isspace()]


def nltk_cut(language: str) -> Cut:
    from nltk.tokenize.destructive import NLTKWordTokenizer

    tokenizer = NLTKWordTokenizer()
    return lambda text: list(tokenizer.span_tokenize(text))


def icu_cut(language: str) -> Cut:
    from icu4py.breakers import WordBreaker

    def cut(text: str) -> Spans:
        parts = list(WordBreaker(text, language))
        ends = [0]
        for part in parts:
            ends.append(ends[-1] + len(part))
        return [(a, b) for (a, b), part in zip(pairwise(ends), parts, strict=True) if not part.isspace()]

    return cut


def somajo_cut(language: str) -> Cut:
    from somajo import SoMaJo

    tokenizer = SoMaJo("en_PTB" if language == ENGLISH else "de_CMC", split_sentences=False)
    return lambda text: of_texts(text, [t.text for part in tokenizer.tokenize_text([text]) for t in part])


def moses_cut(language: str) -> Cut:
    from sacremoses import MosesTokenizer

    tokenizer = MosesTokenizer(language)
    return lambda text: of_texts(text, tokenizer.tokenize(text, escape=False))


def syntok_cut(language: str) -> Cut:
    from syntok.tokenizer import Tokenizer

    tokenizer = Tokenizer()
    return lambda text: [(t.offset, t.offset + len(t.value)) for t in tokenizer.tokenize(text)]


def uniseg_cut(language: str) -> Cut:
    from uniseg.wordbreak import words

    return lambda text: of_texts(text, words(text))


def blingfire_cut(language: str) -> Cut:
    import blingfire

    return lambda text: of_texts(text, blingfire.text_to_words(text).split(" "))


CUTTERS: dict[str, tuple[str, Callable[[str], Cut]]] = {
    "spaCy": ("spacy", spacy_cut),
    "spaCy, hyphens kept": ("spacy", lambda language: spacy_cut(language, keep_hyphens=True)),
    "NLTK": ("nltk", nltk_cut),
    "ICU": ("icu4py", icu_cut),
    "SoMaJo": ("somajo", somajo_cut),
    "sacremoses": ("sacremoses", moses_cut),
    "syntok": ("syntok", syntok_cut),
    "uniseg": ("uniseg", uniseg_cut),
    "blingfire": ("blingfire", blingfire_cut),
}


def sentencex_ends(language: str) -> Callable[[str], set[int]]:
    import sentencex

    def ends(text: str) -> set[int]:
        found, at = set(), 0
        for part in sentencex.segment(language, text):
            found.add(at + len(part.rstrip()))
            at += len(part)
        return found

    return ends


def nupunkt_ends(language: str) -> Callable[[str], set[int]]:
    import nupunkt

    def ends(text: str) -> set[int]:
        return {start + len(text[start:end].rstrip()) for start, end in nupunkt.sent_spans(text)}

    return ends


def sentencizer_ends(language: str) -> Callable[[str], set[int]]:
    import spacy

    nlp = spacy.blank(language)
    nlp.add_pipe("sentencizer")
    nlp.max_length = 10**9
    return lambda text: {s.start_char + len(s.text.rstrip()) for s in nlp(text).sents}


def syntok_ends(language: str) -> Callable[[str], set[int]]:
    from syntok import segmenter

    return lambda text: {(last := s[-1]).offset + len(last.value) for p in segmenter.analyze(text) for s in p}


def icu_ends(language: str) -> Callable[[str], set[int]]:
    from icu4py.breakers import SentenceBreaker

    def ends(text: str) -> set[int]:
        found, at = set(), 0
        for part in SentenceBreaker(text, language):
            found.add(at + len(part.rstrip()))
            at += len(part)
        return found

    return ends


SPLITTERS = {
    "sentencex": ("sentencex", sentencex_ends),
    "spaCy sentencizer": ("spacy", sentencizer_ends),
    "nupunkt": ("nupunkt", nupunkt_ends),
    "syntok": ("syntok", syntok_ends),
    "ICU": ("icu4py", icu_ends),
}


def read_columns(path: Path, most: int) -> list[tuple[str | None, list[str]]]:
    """Return the sentences of a CoNLL file, with their `# text =` if there is one."""
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    sentences: list[tuple[str | None, list[str]]] = []
    text, tokens, column = None, list[str](), 0
    for line in [*content.decode().splitlines(), ""]:
        if line.startswith("# text = "):
            text, column = line.removeprefix("# text = "), 1
        elif line.strip() and not line.startswith(("# ", "-DOCSTART-")):
            tokens.append(line.replace("\t", " ").split(" ")[column] if "\t" not in line else line.split("\t")[column])
        elif not line.strip() and tokens:
            sentences.append((text, tokens))
            text, tokens = None, []
            if len(sentences) == most:
                break
    return sentences


def gold_of(sentence: tuple[str | None, list[str]], language: str) -> tuple[str, Spans] | None:
    """Return a text and the offsets of its tokens, or None if the text cannot be restored."""
    text, tokens = sentence
    if text is None and language == ENGLISH:
        from nltk.tokenize.treebank import TreebankWordDetokenizer

        text = TreebankWordDetokenizer().detokenize(tokens)
    text = " ".join(tokens) if text is None else text
    spans, at = [], 0
    for token in tokens:
        form = '"' if token in ("``", "''") and not text[at:].lstrip().startswith(token) else token
        start = at + len(text[at:]) - len(text[at:].lstrip())
        if not text.startswith(form, start):
            return None
        spans.append((start, at := start + len(form)))
    return text, spans


def f1(n_same: int, n_gold: int, n_found: int) -> float:
    return 200 * n_same / max(1, n_gold + n_found)


def agreement(cut: Cut, gold: list[tuple[str, Spans]]) -> tuple[float, float]:
    """Return the F1 of tokens, and tokens a second."""
    same = n_gold = n_found = 0
    start = time.perf_counter()
    cuts = [cut(text) for text, _ in gold]
    seconds = time.perf_counter() - start
    for found, (_, spans) in zip(cuts, gold, strict=True):
        same += len(set(found) & set(spans))
        n_gold, n_found = n_gold + len(spans), n_found + len(found)
    return f1(same, n_gold, n_found), n_found / seconds


def boundaries(ends: Callable[[str], set[int]], gold: list[tuple[str, Spans]]) -> float:
    """Return the F1 of the ends of sentences in runs of a hundred that are joined by blanks."""
    same = n_gold = n_found = 0
    for first in range(0, len(gold), 100):
        texts = [text for text, _ in gold[first : first + 100]]
        real, at = set(), 0
        for text in texts:
            real.add(at + len(text))
            at += len(text) + 1
        found = ends(" ".join(texts))
        last = at - 1
        real, found = real - {last}, found - {last}
        same, n_gold, n_found = same + len(real & found), n_gold + len(real), n_found + len(found)
    return f1(same, n_gold, n_found)


def start_seconds(kind: str, name: str) -> float:
    """Return the least time of three fresh processes to import and load, without that of starting Python."""
    table = "CUTTERS" if kind == "tokens" else "SPLITTERS"
    code = (
        f"import sys, time; sys.path.insert(0, {str(Path(__file__).parent)!r}); import bench_tokenizers as b\n"
        f"start = time.perf_counter(); b.{table}[{name!r}][1]('en')('Hi. I am.'); print(time.perf_counter() - start)"
    )
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(3)]
    return min(float(run.stdout) for run in runs)


def megabytes(package: str, seen: set[str]) -> float:
    """Return the size of a package with all that it needs."""
    try:
        found = importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError:
        return 0
    seen.add(package.lower())
    files = [Path(str(found.locate_file(file))) for file in found.files or ()]
    size = sum(file.stat().st_size for file in files if file.is_file()) / 1e6
    for needed in found.requires or ():
        name = needed.split(";")[0].strip().split("[")[0].rstrip("<>=!~0123456789.,() ").split(" ")[0]
        for sign in "<>=!~(":
            name = name.split(sign)[0]
        if "extra ==" not in needed and name.lower() not in seen:
            size += megabytes(name, seen)
    return size


def licence(package: str) -> str:
    data = importlib.metadata.metadata(package)
    named = data.get("License-Expression") or next(
        (c.split(" :: ")[-1] for c in data.get_all("Classifier") or () if c.startswith("License")), None
    )
    return named or (data.get("License") or "?")[:20].strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="the folder of the benchmark corpora")
    parser.add_argument("--sentences", type=int, default=3000, help="most sentences of a corpus")
    arguments = parser.parse_args()
    files = {
        "conll2000": ("conll2000/train.txt", "en"), "wikigold": ("wikigold/wikigold.conll", "en"),
        "wnut17": ("wnut17/dev.conll", "en"), "nerkor": ("nerkor/train.tsv.gz", "hu"),
        "zh_gsd": ("chinese/zh_gsd-ud-dev.iob2", "zh"),
    }  # fmt: skip
    corpora = {}
    for name, (path, language) in files.items():
        sentences = read_columns(arguments.data / path, arguments.sentences)
        gold = [found for sentence in sentences if (found := gold_of(sentence, language)) is not None]
        corpora[name] = language, gold
        print(f"{name}: {len(gold)} of {len(sentences)} sentences, {'exact' if sentences[0][0] else 'approximate'}")
    print(f"\n| tokenizer | {' | '.join(corpora)} | tokens/s | load s | MB | licence | version |")
    print("|---" * (len(corpora) + 6) + "|")
    for name, (package, make) in CUTTERS.items():
        row, speed = [], 0.0
        for corpus, (language, gold) in corpora.items():
            try:
                found, its = agreement(make(language), gold)
            except ImportError:
                found, its = float("nan"), 0
            row.append(f"{found:.1f}")
            speed = its if corpus == "conll2000" else speed
        print(
            f"| {name} | {' | '.join(row)} | {speed:,.0f} | {start_seconds('tokens', name):.2f} |"
            f" {megabytes(package, set()):.0f} | {licence(package)} | {importlib.metadata.version(package)} |",
            flush=True,
        )
    print(f"\n| sentences | {' | '.join(corpora)} | load s | MB | licence | version |")
    print("|---" * (len(corpora) + 5) + "|")
    for name, (package, make_ends) in SPLITTERS.items():
        cells = [f"{boundaries(make_ends(language), gold):.1f}" for language, gold in corpora.values()]
        print(
            f"| {name} | {' | '.join(cells)} | {start_seconds('sentences', name):.2f} |"
            f" {megabytes(package, set()):.0f} | {licence(package)} | {importlib.metadata.version(package)} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
