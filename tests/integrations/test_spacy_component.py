"""The component of a spaCy pipeline, in real pipelines, with a model whose tags are known."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from helpers import ROOT
from served_model import write_model
from stub_model import stub_manifest, stub_predictor

from tagger import Tagger
from tagger.corpus.layout import Layout
from tagger.corpus.notation import Notation
from tagger.errors import ConfigError, DataError, ModelError

spacy = pytest.importorskip("spacy", reason="spaCy is not installed: pip install '.[spacy]'")

from spacy.tokens import Doc, DocBin, Span  # noqa: E402
from spacy.training import Example  # noqa: E402

from tagger.integrations import spacy_component, spacy_factory  # noqa: E402

TEXT = "Hanna Berg lives in Bonn. Berg's friend Peter left \n\n Bonn"
ENTITIES = [("Hanna Berg", "PER"), ("Bonn", "LOC"), ("Peter", "PER"), ("Bonn", "LOC")]
METHODS = ["fork", "spawn"]
BLANK = spacy.blank("en")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "model")


def pipeline(model: Path | str, **config: Any) -> Any:
    assert spacy_factory.NAME == "twobranch_tagger", "spaCy knows the component by its entry point, or by this import"
    # The rules of the tokenizer are built once, because they take ten times as long as the rest of an empty pipeline.
    nlp = type(BLANK)(BLANK.vocab, create_tokenizer=lambda _: BLANK.tokenizer)
    nlp.add_pipe("twobranch_tagger", config={"model": str(model), **config})
    return nlp


def load_stub(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
    """Make the component load a stub, whatever the directory holds."""
    monkeypatch.setattr(spacy_component, "checksum", lambda _: "")
    monkeypatch.setattr(spacy_component, "load_predictor", lambda *_, **__: stub_predictor(stub_manifest(**changes)))


def entities(doc: Any) -> list[tuple[str, str]]:
    return [(span.text, span.label_) for span in doc.ents]


def group(doc: Any, key: str = "twobranch_tagger") -> list[tuple[str, str, float]]:
    spans = doc.spans[key]
    return [(span.text, span.label_, score) for span, score in zip(spans, spans.attrs["scores"], strict=True)]


def test_entities_and_scores_are_those_of_the_python_interface(model: Path) -> None:
    doc = pipeline(model)(TEXT)
    assert entities(doc) == ENTITIES
    sentences = [["Hanna", "Berg", "lives", "in", "Bonn", "."], ["Berg", "'s", "friend", "Peter", "left"], ["Bonn"]]
    spans = [span for prediction in Tagger.load(model).tag(sentences) for span in prediction.spans]
    assert [(label, score) for _, label, score in group(doc)] == [(span.type, span.score) for span in spans]
    assert [text for text, *_ in group(doc)] == [text for text, _ in ENTITIES]
    assert [token.ent_iob_ for token in doc][:5] == ["B", "I", "O", "O", "B"]
    assert not doc.has_annotation("SENT_START"), "the component must not set sentences"


def test_sentences_of_the_pipeline_count(model: Path) -> None:
    # The network sees each token by itself; the rule that I-PER, the tag of Berg, cannot begin a sentence sees more.
    nlp = pipeline(model)
    words = ["Hanna", "Berg", "left"]
    doc = nlp(Doc(nlp.vocab, words=words, sent_starts=[True, True, False]))
    assert entities(doc) == [("Hanna", "PER")]
    doc = nlp(Doc(nlp.vocab, words=words))
    assert entities(doc) == [("Hanna Berg", "PER")]


def test_odd_texts_are_tagged(model: Path) -> None:
    nlp = pipeline(model)
    assert entities(nlp("")) == []
    assert group(nlp("")) == []
    assert entities(nlp(" \n\n ")) == []
    assert entities(nlp("  Hanna   Berg  ")) == [("Hanna   Berg", "PER")], "blanks between tokens are no tokens"
    assert entities(nlp("Hanna\n\nBerg")) == [("Hanna", "PER")], "an empty line ends a sentence"
    assert entities(nlp("😀 Ärzte")) == [("😀", "LOC"), ("Ärzte", "ORG")]
    long = nlp(" ".join(["left"] * 3000 + ["Hanna", "Berg"]))
    assert [(span.start, span.end) for span in long.ents] == [(3000, 3002)]


@pytest.mark.parametrize("batch_size", [1, 2, 128])
def test_batches_give_the_same_entities(model: Path, batch_size: int) -> None:
    texts = [TEXT, "", "Bonn", " ", TEXT[5:]]
    nlp = pipeline(model)
    batched = list(nlp.pipe(texts, batch_size=batch_size))
    assert [group(doc) for doc in batched] == [group(nlp(text)) for text in texts]
    assert [(doc.text, context) for doc, context in nlp.pipe([("Bonn", 1)], as_tuples=True)] == [("Bonn", 1)]


@pytest.fixture(scope="module")
def lines_of_processes(model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """The lines of a program that uses the component: how it is found, and the entities that two processes find.

    The package is not installed there; a stand-in has its entry points.
    """
    folder = tmp_path_factory.mktemp("program")
    points = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["entry-points"]["spacy_factories"]
    distribution = folder / "stand_in-1.0.dist-info"
    distribution.mkdir()
    (distribution / "METADATA").write_text("Metadata-Version: 2.1\nName: stand-in\nVersion: 1.0\n")
    lines = [f"{name} = {value}" for name, value in points.items()]
    (distribution / "entry_points.txt").write_text("\n".join(["[spacy_factories]", *lines, ""]))
    code = f"""
import multiprocessing, sys, tagger.text.tokenizer
tagger.text.tokenizer.import_spacy()  # without its command line, which takes half of the time
import spacy
if __name__ == "__main__":
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    heavy = ("onnxruntime", "tensorflow", "sentencex", "tagger.prediction")
    print("before", [name for name in heavy if name in sys.modules])
    nlp = spacy.blank("en")
    nlp.add_pipe("twobranch_tagger", config={{"model": {str(model)!r}}})
    print("after", "tensorflow" in sys.modules, nlp("In Bonn").ents[0].label_)
    texts = [{TEXT!r}] * 40
    list(nlp.pipe(texts))  # starts the threads of this process
    for method in {METHODS}:
        multiprocessing.set_start_method(method, force=True)
        for doc in nlp.pipe(texts, n_process=2, batch_size=5):
            print(method, [(e.text, e.label_) for e in doc.ents], doc.spans["twobranch_tagger"].attrs["scores"][:1])
"""
    script = folder / "program.py"
    script.write_text(code, "utf-8")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(script)],
        capture_output=True, text=True, timeout=120, check=False, env=environment, cwd=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, list[str]] = {}
    for line in done.stdout.splitlines():
        name, _, rest = line.partition(" ")
        found.setdefault(name, []).append(rest)
    return found


def test_spacy_finds_the_component_by_its_entry_point_and_loads_it_only_then(
    lines_of_processes: dict[str, list[str]],
) -> None:
    assert lines_of_processes["before"] == ["[]"]
    assert lines_of_processes["after"] == ["False LOC"]


@pytest.mark.parametrize("method", METHODS)
def test_several_processes_give_the_same_entities(
    model: Path, lines_of_processes: dict[str, list[str]], method: str
) -> None:
    assert method in multiprocessing.get_all_start_methods()
    lines = lines_of_processes[method]
    assert len(lines) == 40
    assert set(lines) == {f"{ENTITIES} [{group(pipeline(model)(TEXT))[0][2]}]"}


def test_entities_that_the_text_has_stay_unless_they_are_overwritten(model: Path) -> None:
    def tagged(**config: Any) -> Any:
        nlp = pipeline(model, **config)
        doc = nlp.make_doc("Hanna Berg met Peter in Bonn today")
        doc.ents = [Span(doc, 1, 3, label="OLD"), Span(doc, 6, 7, label="DATE")]
        return nlp(doc)

    kept = tagged()
    assert entities(kept) == [("Berg met", "OLD"), ("Peter", "PER"), ("Bonn", "LOC"), ("today", "DATE")]
    assert [text for text, *_ in group(kept)] == ["Hanna Berg", "Peter", "Bonn"], "the group has all that were found"
    assert entities(tagged(overwrite=True)) == [
        ("Hanna Berg", "PER"), ("Peter", "PER"), ("Bonn", "LOC"), ("today", "DATE"),
    ]  # fmt: skip
    nlp = pipeline(model)
    assert entities(nlp(nlp(TEXT))) == ENTITIES


def test_blocked_tokens_stay_without_entities_unless_they_are_overwritten(model: Path) -> None:
    def tagged(**config: Any) -> Any:
        nlp = pipeline(model, **config)
        doc = nlp.make_doc("Hanna Berg met Peter in Bonn")
        doc.set_ents([], blocked=[doc[1:2], doc[3:4]], default="unmodified")
        return nlp(doc)

    kept = tagged()
    assert entities(kept) == [("Bonn", "LOC")]
    assert [text for text, *_ in group(kept)] == ["Hanna Berg", "Peter", "Bonn"]
    assert [(token.ent_iob_, token.ent_type_) for token in kept][:4] == [("O", ""), ("B", ""), ("O", ""), ("B", "")]
    assert entities(tagged(overwrite=True)) == [("Hanna Berg", "PER"), ("Peter", "PER"), ("Bonn", "LOC")]


def test_ids_of_entities_that_the_text_has_stay(model: Path) -> None:
    nlp = pipeline(model)
    doc = nlp.make_doc("Peter met Bonn")
    doc.ents = [Span(doc, 0, 1, label="OLD", kb_id="Q1", span_id="p")]
    assert [(e.label_, e.kb_id_, e.ent_id_) for e in nlp(doc).ents] == [("OLD", "Q1", "p"), ("LOC", "", "")]


def test_the_tokens_of_the_model_are_aligned_by_characters(model: Path) -> None:
    pytest.importorskip("sentencex", reason="no tokenizer is installed: pip install '.[text]'")

    def tagged(text: str, words: list[str], spaces: list[bool], **config: Any) -> Any:
        nlp = pipeline(model, tokens="model", **config)
        doc = Doc(nlp.vocab, words=words, spaces=spaces)
        assert doc.text == text
        return nlp(doc)

    # The model's tokens are Bonn and ! where spaCy's token is both.
    one = ("In Bonn! Yes", ["In", "Bonn!", "Yes"], [True, True, False])
    assert entities(tagged(*one)) == [("Bonn!", "LOC")]
    with pytest.warns(UserWarning, match=r"twobranch_tagger: the entity 'Bonn' \(LOC\) does not fit spaCy's tokens"):
        strict = tagged(*one, alignment="strict")
    assert (entities(strict), group(strict)) == ([], [])
    with pytest.warns(UserWarning, match="does not fit spaCy's tokens and is left out"):
        assert entities(tagged(*one, alignment="contract")) == []
    with pytest.warns(UserWarning, match=r"the entity 'Peter, Bonn!' \(LOC\) overlaps another one"):
        both = tagged("Peter, Bonn!", ["Peter, Bonn!"], [False])
    assert entities(both) == [("Peter, Bonn!", "PER")]
    assert [label for _, label, _ in group(both)] == ["PER", "LOC"]
    with pytest.warns(UserWarning, match=r"the entity 'Bonn, Bonn' \(LOC\) overlaps another one"):
        equal = tagged("Bonn, Bonn", ["Bonn, Bonn"], [False])
    assert (entities(equal), len(group(equal))) == ([("Bonn, Bonn", "LOC")], 2)
    same = pipeline(model, tokens="model")(TEXT)
    assert entities(same) == ENTITIES


def test_each_kind_of_loss_is_warned_of_once(model: Path) -> None:
    pytest.importorskip("sentencex", reason="no tokenizer is installed: pip install '.[text]'")
    nlp = pipeline(model, tokens="model", alignment="strict")
    docs = [Doc(nlp.vocab, words=["Bonn!"], spaces=[False]) for _ in range(3)]
    with pytest.warns(UserWarning, match="further ones are not reported") as caught:
        list(nlp.pipe(docs))
    assert len(caught) == 1


def test_the_group_and_the_lowest_score_can_be_chosen(model: Path) -> None:
    doc = pipeline(model, spans_key="found", min_probability=1.0)(TEXT)
    assert (entities(doc), group(doc, "found")) == ([], [])
    assert "twobranch_tagger" not in doc.spans
    assert len(group(pipeline(model, spans_key="found", min_probability=0.0)(TEXT), "found")) == len(ENTITIES)


def test_two_models_have_two_groups(model: Path) -> None:
    nlp = pipeline(model)
    nlp.add_pipe("twobranch_tagger", name="second", config={"model": str(model), "min_probability": 1.0})
    doc = nlp(TEXT)
    assert (len(group(doc)), group(doc, "second")) == (len(ENTITIES), [])
    assert entities(doc) == ENTITIES


def test_scores_survive_in_a_docbin(model: Path) -> None:
    nlp = pipeline(model)
    doc = nlp(TEXT)
    (stored,) = DocBin(docs=[doc], store_user_data=True).get_docs(nlp.vocab)
    assert group(stored) == group(doc)
    assert entities(stored) == ENTITIES


def test_a_saved_pipeline_has_a_copy_of_the_model(model: Path, tmp_path: Path) -> None:
    there = tmp_path / "model"
    shutil.copytree(model, there)
    nlp = pipeline(there)
    expected = group(nlp(TEXT))
    nlp.to_disk(tmp_path / "pipeline")
    content = nlp.to_bytes()
    shutil.rmtree(there)
    there.mkdir()  # something else
    loaded = spacy.load(tmp_path / "pipeline")
    assert group(loaded(TEXT)) == expected
    loaded.to_disk(tmp_path / "pipeline")  # over itself
    loaded.to_disk(tmp_path / "again")
    for name in ("pipeline", "again"):
        assert group(spacy.load(tmp_path / name)(TEXT)) == expected
    fresh = spacy.blank("en")
    fresh.add_pipe("twobranch_tagger", config={"model": str(there)})
    assert group(fresh.from_bytes(content)(TEXT)) == expected
    copied = pickle.loads(pickle.dumps(fresh.get_pipe("twobranch_tagger")))
    assert group(copied(fresh.make_doc(TEXT))) == expected
    fresh.to_disk(tmp_path / "from bytes")
    assert group(spacy.load(tmp_path / "from bytes")(TEXT)) == expected
    with pytest.raises(ModelError, match="holds mine, which is not part of a model"):
        Path(tmp_path, "again", "twobranch_tagger", "model", "mine").touch()
        loaded.to_disk(tmp_path / "again")


def test_a_model_that_was_replaced_after_it_was_loaded_is_not_saved_in_its_place(model: Path, tmp_path: Path) -> None:
    there = tmp_path / "model"
    shutil.copytree(model, there)
    nlp = pipeline(there)
    nlp("Bonn")
    shutil.rmtree(there)
    write_model(there, "PERSON")
    for save in (nlp.to_bytes, lambda: nlp.to_disk(tmp_path / "pipeline")):
        with pytest.raises(
            ModelError, match=r"^twobranch_tagger: found another model in .*model than the one that was"
        ):
            save()
    fresh = pipeline(there)
    fresh.to_disk(tmp_path / "pipeline")
    assert entities(spacy.load(tmp_path / "pipeline")("Peter")) == [("Peter", "PERSON")]


def test_evaluate_scores_the_entities(model: Path) -> None:
    nlp = pipeline(model)
    right, wrong = nlp(TEXT), nlp.make_doc("Bonn left")
    examples = [Example(nlp.make_doc(TEXT), right), Example(nlp.make_doc("Bonn left"), wrong)]
    wrong.ents = [Span(wrong, 0, 1, label="PER")]
    scores = nlp.evaluate(examples)
    assert scores["ents_f"] == pytest.approx(8 / 10)
    assert scores["ents_per_type"]["LOC"]["p"] == pytest.approx(2 / 3)


def test_plain_tags_are_those_of_the_tokens(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    load_stub(monkeypatch, notation=Notation(scheme="none"), scheme="none")
    nlp = pipeline(tmp_path)
    doc = nlp("EU  met Peter")
    assert [token.tag_ for token in doc] == ["B-ORG", "", "O", "B-PER"]
    assert not doc.ents
    doc[0].tag_ = "X"
    assert nlp(doc)[0].tag_ == "X"
    assert pipeline(tmp_path, overwrite=True)(doc)[0].tag_ == "B-ORG"
    with pytest.raises(DataError, match="min_probability: found a model that predicts plain tags"):
        pipeline(tmp_path, min_probability=0.5)("EU")
    assert nlp.evaluate([Example(nlp.make_doc("EU  met Peter"), nlp("EU  met Peter"))])["tag_acc"] == 1.0


def test_plain_tags_need_a_token_of_spacy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("sentencex", reason="no tokenizer is installed: pip install '.[text]'")
    load_stub(monkeypatch, notation=Notation(scheme="none"), scheme="none")
    whole = pipeline(tmp_path, tokens="model")
    with pytest.warns(UserWarning, match=r"the token 'EU' \(B-ORG\) is not a token of spaCy, so its tag is left out"):
        assert [token.tag_ for token in whole(Doc(whole.vocab, words=["EU!", "met"]))] == ["", "O"]


def test_what_is_wrong_is_said_when_the_component_is_added_or_first_used(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match="twobranch_tagger: tokens: found 'mine', expected one of spacy, model"):
        pipeline(model, tokens="mine")
    with pytest.raises(ConfigError, match="alignment: found 'loose', expected one of expand, contract, strict"):
        pipeline(model, alignment="loose")
    with pytest.raises(ConfigError, match=r"min_probability: found 1\.5, expected a number from 0 to 1"):
        pipeline(model, min_probability=1.5)
    with pytest.raises(ConfigError, match="threads: found 0, expected a whole number from 1"):
        pipeline(model, threads=0)
    texts: dict[str, Any] = {"threads": "2", "min_probability": "0.5"}  # newer versions of spaCy let them through
    for name, value in texts.items():
        settings = {"threads": None, "min_probability": None, name: value}
        with pytest.raises(ConfigError, match=f"twobranch_tagger: {name}: found '{value}', expected a "):
            spacy_factory.make_component(
                spacy.blank("en"), "twobranch_tagger", str(model), tokens="spacy", alignment="strict", overwrite=False,
                spans_key=None, **settings,
            )  # fmt: skip
    with pytest.raises(ConfigError, match="twobranch_tagger: model: found an empty path"):
        pipeline("")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match=r"^twobranch_tagger: .*found no manifest\.json, expected one"):
        pipeline(tmp_path / "empty")("Bonn")
    missing = pipeline(tmp_path / "nothing")
    pipeline(model).initialize()
    with pytest.raises(ModelError, match=r"^twobranch_tagger: .*nothing: no such model directory"):
        missing("Bonn")
    with pytest.raises(ModelError, match=r"^twobranch_tagger: .*nothing: no such model directory"):
        missing.initialize()
    with pytest.raises(ModelError, match=r"packed model: found the file '\.\./x', expected the files of a model"):
        missing.get_pipe("twobranch_tagger").from_bytes(spacy.util.srsly.msgpack_dumps({"../x": b""}))
    for content in (b"", b"other", *map(spacy.util.srsly.msgpack_dumps, ([1], {"manifest.json": "text"}))):
        with pytest.raises(ModelError, match="twobranch_tagger: found other bytes, expected those that to_bytes has"):
            missing.get_pipe("twobranch_tagger").from_bytes(content)
    load_stub(monkeypatch, layout=Layout(columns={"token": 0, "pos": 1, "tag": -1}))
    with pytest.raises(DataError, match="found one that reads the feature columns pos"):
        pipeline(tmp_path)("Bonn")


def test_without_spacy_one_error_names_the_extra(tmp_path: Path) -> None:
    (tmp_path / "spacy.py").write_text("raise ImportError")
    code = (
        "from tagger.errors import TaggerError\ntry:\n    import tagger.integrations.spacy_factory\n"
        "except TaggerError as error:\n    print(error)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout == (
        "twobranch_tagger: found no spaCy, expected it to run a pipeline; run pip install '.[spacy]' in a clone of"
        " tagger\n"
    )
