"""Plant wrong labels into corpora and measure how many `tagger suspects` finds, for docs/results.md.

    python scripts/results/suspects.py --runs docs/suspects.jsonl --work /tmp/suspects   # an hour; stop it at any time
    python scripts/results/suspects.py --runs docs/suspects.jsonl --table                # the table

In each corpus, 2 % of the entities get a wrong label, a quarter each: the label is removed (missed), a label is put on
one or two tokens without one (made up), a border is moved by a token (boundary), or the type is another (type). Five
models, each trained on four fifths of the corpus, tag the fifth that they have not seen. The rankings, all of the same
predictions: `suspects`, that of the command; `span`, by the probability of the predicted span, or 1 minus that of the
gold one; `cleanlab`, the tokens by cleanlab's label quality (self-confidence), each place of consecutive tokens
counted once (that needs cleanlab, which is not installed with tagger). Precision is that of the first 100; recall is
that of the first 2 n, where n wrong labels were planted. The corpora have wrong labels of their own, which count as
false alarms. No test file is used.
"""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import numpy as np
from one_run import EARLIER_SETTINGS, spread
from resuming import parser_of, run_missing
from small_data import CORPORA, load, read

from tagger.config.loading import load_config
from tagger.corpus.schemes import Span, spans_from_tags, tags_from_spans
from tagger.prediction.lattice import Lattice
from tagger.prediction.onnx_session import load_predictor
from tagger.runs.crossval import CrossSettings, OutOfFold, out_of_fold
from tagger.runs.plan import RunsDirectory
from tagger.runs.suspects import find_suspects, ranked

FILES = {"conll2000": "conll2000/train.txt", "wnut17": "wnut17/train.conll", "nerkor": "nerkor/train.tsv.gz"}
FIRST = 10_000  # sentences that are used at most
SHARE = 0.02  # of the entities
SEEDS = (1, 2, 3)
KINDS = ("missed", "made up", "boundary", "type")
METHODS = ("suspects", "span", "cleanlab")
EPOCHS = {"conll2000": 10, "wnut17": 25, "nerkor": 10}
SETTINGS = [*EARLIER_SETTINGS, "model.units=100", "model.layers=1", "data.dev=null"]


def planted(sentences: list[str], seed: int) -> tuple[list[str], list[tuple[int, int, int, str]]]:
    """Return the sentences with wrong labels, and the sentence, the tokens and the kind of each."""
    random_ = random.Random(seed)
    rows = [[line.split() for line in sentence.split("\n")] for sentence in sentences]
    tags = [[fields[-1] for fields in sentence] for sentence in rows]
    entities = [(i, span) for i, of_it in enumerate(tags) for span in spans_from_tags(of_it)]
    types = sorted({span.type for _, span in entities})
    n = round(SHARE * len(entities))
    places: list[tuple[int, int, int, str]] = []
    touched = set[int]()
    order = iter(random_.sample(entities, len(entities)))
    while len(places) < n:
        kind = KINDS[len(places) % len(KINDS)]
        i, span = next(order)
        if i in touched:  # at most one a sentence, so that each can be told from the others
            continue
        changed = _changed(spans_from_tags(tags[i]), span, kind, len(tags[i]), types, random_)
        if changed is None:
            continue
        spans, (start, end) = changed
        tags[i] = tags_from_spans(sorted(spans, key=lambda one: one.start), len(tags[i]), "IOB2")
        touched.add(i)
        places.append((i, start, end, kind))
    written = [
        "\n".join(f"{fields[0]}\t{tag}" for fields, tag in zip(sentence, of_it, strict=True))
        for sentence, of_it in zip(rows, tags, strict=True)
    ]
    return written, places


def _changed(
    spans: list[Span], span: Span, kind: str, length: int, types: list[str], random_: random.Random
) -> tuple[list[Span], tuple[int, int]] | None:
    """Return the spans of a sentence with one wrong label, and where it is; None if it cannot have one of this kind."""
    others = [one for one in spans if one != span]
    taken = {token for one in spans for token in range(one.start, one.end)}
    if kind == "missed":
        return others, (span.start, span.end)
    if kind == "type":
        wrong = random_.choice([name for name in types if name != span.type])
        return [*others, Span(wrong, span.start, span.end)], (span.start, span.end)
    if kind == "made up":
        free = [i for i in range(length) if i not in taken]
        if not free:
            return None
        start = random_.choice(free)
        end = start + 1 + (start + 1 in free and random_.random() < 0.5)
        return [*spans, Span(random_.choice(types), start, end)], (start, end)
    bounds = [(span.start - 1, span.end), (span.start, span.end + 1), (span.start + 1, span.end),
              (span.start, span.end - 1)]  # fmt: skip
    possible = [
        (start, end)
        for start, end in bounds
        if 0 <= start < end <= length and not (set(range(start, end)) - set(range(span.start, span.end))) & taken
    ]
    if not possible:
        return None
    start, end = random_.choice(possible)
    return [*others, Span(span.type, start, end)], (min(start, span.start), max(end, span.end))


def of_suspects(found: OutOfFold, folder: Path) -> list[tuple[int, int, int]]:
    return [(one.sentence, one.place.start, one.place.end) for one in ranked(find_suspects(found, folder))]


def of_spans(found: OutOfFold, folder: Path) -> list[tuple[int, int, int]]:
    scored = []
    for one in find_suspects(found, folder):
        tagged = found.tagged[one.sentence]
        of_it = dict(zip(spans_from_tags(tagged.tags), tagged.span_probabilities, strict=True))
        score = max((of_it[span] for span in one.place.predicted), default=None)
        if score is None:  # nothing is predicted: 1 minus the probability of the gold span, from the tokens
            score = min(tagged.probabilities[one.place.start : one.place.end])
        scored.append((score, one))
    scored.sort(key=lambda pair: -pair[0])
    return [(one.sentence, one.place.start, one.place.end) for _, one in scored]


def of_cleanlab(found: OutOfFold, folder: Path) -> list[tuple[int, int, int]]:
    from cleanlab.token_classification.rank import get_label_quality_scores

    corpus, rows, labels, pred_probs = found.corpus, list[int](), [], []
    vocabulary = sorted({tag for tags in corpus.tags for tag in tags})
    for fold in range(found.folds.k):
        predictor = load_predictor(folder / f"fold-{fold + 1}")
        model = predictor.model
        for i in found.folds.inside(fold):
            (logits,) = predictor.logits([corpus.sentences[i].tokens])
            lattice = Lattice(logits[None], np.array([len(logits)], np.int32), predictor._transitions())
            marginals = lattice.marginals()[0]
            probabilities = np.full((len(marginals), len(vocabulary)), 1e-9)
            scheme, file_scheme = model.manifest.scheme, model.manifest.notation.scheme
            for k, tag in enumerate(model.tags.tags):
                prefix, _, name = tag.partition("-")
                if scheme != file_scheme:  # IOBES to IOB2
                    prefix = {"S": "B", "E": "I"}.get(prefix, prefix)
                target = f"{prefix}-{name}" if name else prefix
                if target in vocabulary:
                    probabilities[:, vocabulary.index(target)] += marginals[:, k]
            rows.append(i)
            labels.append([vocabulary.index(tag) for tag in corpus.tags[i]])
            pred_probs.append(probabilities / probabilities.sum(axis=1, keepdims=True))
    _, tokens = get_label_quality_scores(labels, pred_probs)
    scored = [
        (score, i, token) for i, of_it in zip(rows, tokens, strict=True) for token, score in enumerate(of_it.tolist())
    ]
    scored.sort()
    places: list[tuple[int, int, int]] = []
    seen: dict[int, set[int]] = {}
    for _, i, token in scored:
        near = seen.setdefault(i, set())
        if not near & {token - 1, token, token + 1}:
            places.append((i, token, token + 1))
        near.add(token)
    return places


def measured(places: list[tuple[int, int, int]], wrong: list[tuple[int, int, int, str]]) -> dict[str, Any]:
    by_sentence = {i: (start, end, kind) for i, start, end, kind in wrong}

    def hit(place: tuple[int, int, int]) -> str | None:
        i, start, end = place
        if i in by_sentence and start < by_sentence[i][1] and by_sentence[i][0] < end:
            return by_sentence[i][2]
        return None

    first = sum(hit(place) is not None for place in places[:100])
    found = {place[0]: kind for place in places[: 2 * len(wrong)] if (kind := hit(place)) is not None}
    kinds = {kind: sum(one == kind for one in found.values()) / sum(one[3] == kind for one in wrong) for kind in KINDS}
    return {"precision_100": first / 100, "recall_2n": len(found) / len(wrong), "recall_by_kind": kinds}


class Quiet:
    """A watcher that shows nothing."""

    def begin(self, *_: Any) -> None: ...
    def hear(self, *_: Any) -> None: ...
    def finish(self, *_: Any) -> None: ...


def one(corpus: str, seed: int, work: Path, more: list[str]) -> dict[str, Any]:
    sentences, wrong = planted(read(CORPORA / FILES[corpus])[:FIRST], seed)
    folder = work / f"{corpus}-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "train").write_text("\n\n".join(sentences) + "\n", "utf-8")
    (folder / "c.yaml").write_text("data: {train: train}\n")
    config = load_config(
        folder / "c.yaml", [*SETTINGS, f"training.epochs={EPOCHS[corpus]}", f"training.seed={seed}", *more]
    )
    settings = CrossSettings(k=5, directory=folder / "runs", by="sentence", device="cpu", resume=True)
    start = time.perf_counter()
    directory = RunsDirectory(settings.directory)
    with directory.lock():
        found = out_of_fold(config, settings, Quiet(), directory, note=lambda text: None, warn=print)
    assert found is not None
    minutes = (time.perf_counter() - start) / 60
    rankings = {"suspects": of_suspects, "span": of_spans, "cleanlab": of_cleanlab}
    result = {name: measured(rank(found, settings.directory), wrong) for name, rank in rankings.items()}
    overall = found.evaluation().overall
    return {"planted": len(wrong), "f1": overall and overall.f1, "minutes": round(minutes, 1), **result}


def table(runs: list[dict[str, Any]]) -> str:
    """Return a Markdown table: percent, mean ± standard deviation of the seeds."""
    lines = [
        "| corpus | planted | seeds | ranking | precision at 100 | recall at 2 n |"
        " missed | made up | boundary | type |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for corpus in FILES:
        some = [run for run in runs if run["corpus"] == corpus]
        for method in METHODS if some else ():
            kinds = [spread(run[method]["recall_by_kind"][kind] for run in some) for kind in KINDS]
            cells = [spread(run[method][name] for run in some) for name in ("precision_100", "recall_2n")]
            planted_ = some[0]["planted"]
            lines.append(f"| {corpus} | {planted_} | {len(some)} | {method} | {' | '.join([*cells, *kinds])} |")
    return "\n".join(lines)


def main() -> None:
    parser = parser_of(__doc__, "suspects")
    parser.add_argument("--set", action="append", default=[], dest="more")
    arguments = parser.parse_args()
    if arguments.table:
        print(table(load(arguments.runs)))
        return
    keys = ((corpus, seed) for seed in SEEDS for corpus in FILES)
    run_missing(arguments, keys, lambda corpus, seed: one(corpus, seed, arguments.work, arguments.more))


if __name__ == "__main__":
    main()
