"""Check that the config's data and vocabulary sections reach the training set, or are refused with a reason."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from small_models import save_small_model
from stored_model import rewrite_manifest

pytest.importorskip("tensorflow")

from tagger.cli.progress import TrainingProgress
from tagger.config.loading import load_config
from tagger.errors import ConfigError, DataError, ModelError
from tagger.model_dir.checkpoints import State
from tagger.prediction.onnx_session import load_predictor
from tagger.training.corpora import well_formed
from tagger.training.memory import check_memory
from tagger.training.parts import Parts
from tagger.training.preparation import Prepared, prepare
from tagger.training.resume import with_choices_of
from tagger.training.stored_config import stored_config
from tagger.training.train import train

pytestmark = pytest.mark.tensorflow

TRAIN = (
    "The O\nCity B-ORG\nof I-ORG\nRome I-ORG\n\n"
    "the O\ncity O\nof O\nRome B-LOC\n\n"
    "May B-PER\n19 O\n\n"
    "Room O\n27 O\n\n"
)  # fmt: skip


@pytest.fixture
def prepared(tmp_path: Path) -> Callable[..., tuple[Prepared, list[str], list[str]]]:
    """Return a function that prepares a config with settings, and returns the result, the notes and the warnings."""

    def prepared(*settings: str, train: str | bytes = TRAIN, dev: str = TRAIN) -> tuple[Prepared, list[str], list[str]]:
        (tmp_path / "train").write_bytes(train if isinstance(train, bytes) else train.encode())
        (tmp_path / "dev").write_text(dev, "utf-8")
        (tmp_path / "c.yaml").write_text("data: {train: train, dev: dev}\n")
        notes: list[str] = []
        warnings: list[str] = []
        config = load_config(
            tmp_path / "c.yaml", ["model.scheme=IOB2", "model.characters=none", "model.casing=false", *settings]
        )
        return prepare(config, note=notes.append, warn=warnings.append), notes, warnings

    return prepared


def test_a_note_says_how_many_tokens_teach_subwords(prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    _, notes, _ = prepared("features.subwords=2")
    assert "features.subwords: 2 merges, learned from the 10 distinct tokens of train" in notes
    for module in ("inputs.subwords", "training.preparation"):
        monkeypatch.setattr(f"tagger.{module}.MOST_LEARNED", 9)
    _, notes, _ = prepared("features.subwords=2")
    assert "features.subwords: 2 merges, learned from the 9 most frequent of the 10 distinct tokens of train" in notes


def test_defaults(prepared) -> None:
    result, notes, warnings = prepared()
    assert result.encoder.tokens.tokens == ("of", "Rome", "The", "City", "the", "city", "May", "19", "Room", "27")
    assert result.tags.tags == ("O", "B-LOC", "B-ORG", "B-PER", "I-ORG")
    assert [ids.tolist() for ids in result.training_set.sentences] == [[4, 5, 2, 3], [6, 7, 2, 3], [8, 9], [10, 11]]
    assert [ids.tolist() for ids in result.training_set.tag_ids] == [[0, 2, 4, 4], [0, 0, 0, 1], [3, 0], [0, 0]]
    assert np.flatnonzero(result.training_set.word_dropout.rare).tolist() == [4, 5, 6, 7, 8, 9, 10, 11]
    assert (
        result.training_set.word_dropout.unk_probability,
        result.training_set.batch_size,
        result.training_set.seed,
    ) == (0.3, 4, 1)
    assert (result.schedule.batch_size, result.schedule.epochs) == (4, 100)
    assert not warnings
    assert notes[1:3] == [
        "train: token in column 0, tag in the last column; read as:",
        "  The→O  City→B-ORG  of→I-ORG  Rome→I-ORG",
    ]
    assert len(notes) == 7
    assert (
        notes[-1]
        == "training.batch_size: 4, training.epochs: 100 and training.patience: 10, chosen for 4 training sentences"
    )


def test_the_schedule_is_chosen_from_the_pieces_that_training_sees(prepared) -> None:
    many = "a O\nb B-X\n" * 600
    result, notes, _ = prepared("data.max_length=4", train=many)
    assert (result.schedule.batch_size, result.training_set.batch_size, result.schedule.epochs) == (8, 8, 37)
    assert (
        notes[-1]
        == "training.batch_size: 8, training.epochs: 37 and training.patience: 10, chosen for 300 training sentences"
    )
    result, notes, _ = prepared(
        "data.max_length=4", "training.batch_size=32", "training.epochs=2", "training.patience=5", train=many
    )
    assert (result.schedule.batch_size, result.training_set.batch_size, result.schedule.epochs) == (32, 32, 2)
    assert not any("chosen" in note for note in notes)


def test_the_vectors_of_a_training_take_little_more_memory_than_their_table(prepared, tmp_path: Path) -> None:
    n, dim = 6000, 300
    table = np.random.default_rng(4).normal(size=(n, dim)).astype(np.float32)
    np.save(tmp_path / "v.npy", table.astype(np.float64))
    (tmp_path / "v.vocab").write_text("".join(f"{token}\n" for token in ["Rome", *map(str, range(n - 2)), "city"]))
    setting = f"embeddings.path={tmp_path / 'v.npy'}"
    prepared(setting)  # loads what it needs
    tracemalloc.start()
    try:
        result, _, _ = prepared(setting)
        _, peak = tracemalloc.get_traced_memory()
        blocks = list(result.vectors.blocks())
    finally:
        tracemalloc.stop()
    assert peak <= 1.5 * table.nbytes, f"{peak / table.nbytes:.2f} times the table"
    ids, vectors = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    tokens = ["of", "Rome", "The", "City", "the", "city", "May", "19", "Room", "27"]
    in_order = [n - 1 if token in ("City", "city") else int(token) + 1 if token.isdigit() else 0 for token in tokens]
    has_vector = [i for i, token in enumerate(tokens) if token in ("Rome", "City", "city", "19", "27")]
    others = [row for row in range(1, n - 1) if str(row - 1) not in ("19", "27")]
    assert ids.tolist() == [2 + i for i in has_vector] + list(range(12, 12 + len(others)))
    np.testing.assert_array_equal(vectors, table[[in_order[i] for i in has_vector] + others])
    assert result.vectors.has_vector.tolist() == [i in set(ids.tolist()) for i in range(len(result.encoder.tokens))]
    # A few vectors do not keep the whole table in memory.
    result, _, _ = prepared(setting, "embeddings.max_rows=3")
    assert result.vectors.table.shape == (8, dim)
    ids, vectors = (np.concatenate(parts) for parts in zip(*result.vectors.blocks(), strict=True))
    assert ids.tolist() == [2 + i for i in has_vector] + [12, 13, 14]
    np.testing.assert_array_equal(vectors, table[[in_order[i] for i in has_vector] + [1, 2, 3]])


def test_the_network_may_have_a_scheme_of_its_own(prepared) -> None:
    result, *_ = prepared("model.scheme=IOBES")
    assert result.tags.tags == ("O", "B-ORG", "E-ORG", "I-ORG", "S-LOC", "S-PER")
    assert (result.manifest.notation.scheme, result.manifest.scheme) == ("IOB2", "IOBES")
    assert [ids.tolist() for ids in result.training_set.tag_ids] == [[0, 1, 3, 2], [0, 0, 0, 4], [5, 0], [0, 0]]
    plain, *_ = prepared("model.scheme=IOBES", "data.scheme=none")
    assert plain.manifest.scheme == "none"


@pytest.mark.parametrize(
    ("setting", "tokens"),
    [
        ("vocabulary.lowercase=true", ("the", "city", "of", "rome", "may", "19", "room", "27")),
        ("vocabulary.normalize_digits=true", ("of", "Rome", "00", "The", "City", "the", "city", "May", "Room")),
        ("vocabulary.min_count=2", ("of", "Rome")),
        ("vocabulary.max_size=1", ("of",)),
    ],
)
def test_the_vocabulary_section(prepared, setting: str, tokens: tuple[str, ...]) -> None:
    result, _, _ = prepared(setting)
    assert result.encoder.tokens.tokens == tokens
    assert result.manifest.normalization == result.encoder.tokens.normalization


def test_unk_probability_batch_size_and_seed_reach_the_training_set(prepared) -> None:
    training_set = prepared("vocabulary.unk_probability=0.9", "training.batch_size=3", "training.seed=7")[
        0
    ].training_set
    assert (training_set.word_dropout.unk_probability, training_set.batch_size, training_set.seed) == (0.9, 3, 7)


def test_columns_delimiter_comments_and_encoding_are_those_of_the_file(prepared) -> None:
    train = "% note\nB-PER|Zoë\nO|saw\n".encode("latin-1")
    settings = ["data.columns={token: 1, tag: 0}", "data.delimiter='|'", "data.comments='%'", "data.encoding=latin-1"]
    result, _, _ = prepared(*settings, train=train, dev="O|saw\nB-PER|Zoé\n")
    assert result.encoder.tokens.tokens == ("Zoë", "saw")
    layout = result.manifest.layout
    assert (layout.columns, layout.delimiter, layout.comments) == ({"token": 1, "tag": 0}, "|", "%")
    assert layout.encoding == "latin-1"
    found = prepared("data.comments=none", train="# B-PER\na O\n", dev="# O\na B-PER\n")[0].manifest.layout
    assert found.comments is None


def test_the_scheme_is_detected_or_taken_from_the_config(prepared) -> None:
    assert prepared()[0].manifest.notation.scheme == "IOB2"
    plain, _, _ = prepared("data.scheme=none")
    assert (plain.manifest.notation.scheme, plain.manifest.scheme) == ("none", "none")
    result, _, _ = prepared(train="a U-X\nb B-X\nc L-X\n", dev="a O\nb U-X\n")
    assert (result.manifest.notation.scheme, result.manifest.scheme) == ("BILOU", "IOB2")
    assert result.tags.tags == ("B-X", "I-X")


def test_the_dev_fraction_is_held_out_by_seed(prepared) -> None:
    many = "".join(f"t{i} O\n\n" for i in range(50))
    held_out = []
    for settings in (["data.dev=0.2"], ["data.dev=0.2"], ["data.dev=0.2", "training.seed=2"], ["data.dev=0.5"]):
        result, notes, _ = prepared("data.trust=true", *settings, train=many)
        dev = {sentence.tokens[0] for sentence in result.dev.sentences}
        assert dev.isdisjoint(result.encoder.tokens.tokens), "the vocabulary comes from the training part alone"
        assert len(dev) + len(result.training_set.sentences) == 50
        assert any("held out of train by seed" in note for note in notes)
        held_out.append(dev)
    assert held_out[0] == held_out[1] != held_out[2]
    assert [len(dev) for dev in held_out] == [10, 10, 10, 25]


def test_long_sentences_are_cut_between_spans_without_overlap_and_counted(prepared) -> None:
    train = "a O\nb B-X\nc I-X\nd I-X\ne O\nf O\ng O\n\nh O\n"
    result, notes, _ = prepared("data.max_length=3", train=train)
    assert result.manifest.max_length == 3
    decoded = [[result.encoder.tokens.tokens[i - 2] for i in ids] for ids in result.training_set.sentences]
    assert decoded == [["a", "b", "c"], ["d", "e", "f"], ["g"], ["h"]]
    assert "train: cut 1 sentence of more than 3 tokens (data.max_length); training sees 4 pieces" in notes
    decoded = [len(ids) for ids in prepared("data.max_length=5", train=train)[0].training_set.sentences]
    assert decoded == [5, 2, 1], "the cut is after e, where it splits no span"
    decoded = [
        len(ids)
        for ids in prepared("data.max_length=4", train="a O\nb O\nc O\nd B-X\ne I-X\n")[0].training_set.sentences
    ]
    assert decoded == [3, 2], "the cut moves back to before the span"
    assert prepared()[0].manifest.max_length == 512


def test_ill_formed_tags_are_learned_as_conlleval_reads_them_and_counted(prepared) -> None:
    result, notes, _ = prepared(train="a I-X\nb I-X\n\nc B-X\nd I-X\ne B-X\n")
    assert result.manifest.notation.scheme == "IOB2"
    decoded = [result.tags.decode(ids) for ids in result.training_set.tag_ids]
    assert decoded == [["B-X", "I-X"], ["B-X", "I-X", "B-X"]]
    assert (
        "train: 1 tag is ill-formed in IOB2; training reads ill-formed tags as conlleval does (tagger check lists them)"
        in notes
    )


def test_well_formed_tags_stay_and_plain_tags_are_left_alone() -> None:
    assert well_formed(["O", "I-X", "I-Y", "B-Y"], "IOB2") == ["O", "B-X", "B-Y", "B-Y"]
    assert well_formed(["B-X", "I-X", "O"], "IOB2") == ["B-X", "I-X", "O"]
    assert well_formed(["I-X", "NN"], "none") == ["I-X", "NN"]


def test_a_dev_set_without_entities_stops_the_training_unless_it_is_meant(prepared, tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        prepared(dev="a O\n")
    assert error.value.message == (
        f"{tmp_path}/dev: found no entity in dev, expected some: without them accuracy decides which epoch is best, not"
        " F1; set data.dev to a file with entities, or to null to train on all sentences without a dev set;"
        " set data.trust to true to train anyway"
    )
    _, _, warnings = prepared("data.trust=true", dev="a O\n")
    assert [text.partition(";")[0] for text in warnings] == [error.value.message.partition(";")[0]]


@pytest.mark.parametrize(("train", "only"), [("a O\n\nb O\n", "O"), ("a NN\n\nb NN\n", "NN")])
def test_a_single_tag_stops_the_training_unless_it_is_meant(prepared, train: str, only: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        prepared(train=train, dev=train)
    assert error.value.message == (
        f"{tmp_path}/train: found only the tag {only}, expected several; set data.columns.tag to the column of the"
        " tags, or label some entities; set data.trust to true to train anyway"
    )
    _, _, warnings = prepared("data.trust=true", train=train, dev=train)
    assert warnings[0].startswith(f"{tmp_path}/train: found only the tag {only}, expected several")


def test_the_test_path_is_relative_to_the_resolved_model_directory(prepared, tmp_path: Path) -> None:
    (tmp_path / "deep/er/real").mkdir(parents=True)
    (tmp_path / "link").symlink_to("deep/er/real")
    result, _, _ = prepared(f"data.test={tmp_path}/dev", f"output.model_dir={tmp_path}/link")
    assert (tmp_path / "link" / str(result.manifest.test)).resolve() == tmp_path / "dev"


@pytest.mark.parametrize(
    ("settings", "plain", "decoder", "stored"),
    [
        ((), False, "crf", None),
        ((), True, "constrained", None),  # what another scheme and unsmoothed labels would change stays open
        (("training.label_smoothing=0.1",), False, "constrained", None),
        (("model.decoder=crf",), False, "crf", "crf"),
        (("model.decoder=crf",), True, "crf", "crf"),
    ],
)
def test_the_decoder_follows_from_the_tags_and_the_loss(
    prepared, settings: tuple[str, ...], plain: bool, decoder: str, stored: str | None, tmp_path: Path
) -> None:
    text = "a DT\nb NN\n\nc NN\nd DT\n" if plain else TRAIN
    result, notes, _ = prepared(*settings, train=text, dev=text)
    assert result.manifest.network.decoder == decoder
    noted = "model.decoder: constrained, because a CRF cannot learn from training.label_smoothing"
    assert (noted in notes) == any("smoothing" in setting for setting in settings)
    config = load_config(tmp_path / "c.yaml", settings)
    assert stored_config(config, result.schedule, result.manifest, tmp_path).model.decoder == stored
    # A state of this training has the decoder that it was trained with, also if null stood for another one then.
    for then in {"constrained", decoder}:
        continued = with_choices_of(State({"settings": {"model.decoder": then}}, {}), config)
        manifest = dataclasses.replace(
            result.manifest,
            network=continued.model.spec(continued.usual_decoder(result.manifest.scheme)),
        )
        assert manifest.network.decoder == (stored or then)
        again = stored_config(continued, result.schedule, manifest, tmp_path, given=config)
        assert again.model.decoder == (stored or (None if then == decoder else then))


def test_the_model_section_reaches_the_manifest(prepared) -> None:
    settings = ["embedding_dim=3", "units=4", "layers=2", "direction=backward", "merge=ave", "dropout=0.25"]
    manifest = prepared(*(f"model.{setting}" for setting in settings), "model.decoder=softmax")[0].manifest
    assert manifest.network.to_json() == {
        "embedding_dim": 3, "units": 4, "layers": 2, "direction": "backward", "merge": "ave", "dropout": 0.25,
        "characters": "none", "character_dim": 30, "character_units": 50, "casing": False, "feature_dim": 20,
        "input_dropout": 0.25, "token_dropout": 0.25, "recurrent_dropout": 0.0,
        "decoder": "softmax",
    }  # fmt: skip


# --- Data too large to train on --------------------------------------------------------------------------------------


def test_a_batch_too_large_for_memory_is_refused_and_its_longest_sentence_named(tiny_config, tmp_path: Path) -> None:
    (tmp_path / "train").write_text("a B-X\nb O\n\n" + "c O\n" * 300 + "\nd O\n")
    config = tiny_config("model.units=500", "data.max_length=100000", "data.trust=true")
    with pytest.raises(ConfigError) as error:
        train(config, TrainingProgress(), parts=Parts(available_memory=lambda: 10_000_000))
    found = re.fullmatch(
        r"data\.max_length: a batch of 3 sentences with the longest one needs (\d+) MB of memory, expected at most the"
        r" 10 MB that is free; set it to (\d+) or less, or lower training\.batch_size",
        error.value.message,
    )
    assert found, error.value.message
    assert error.value.detail == (f"{tmp_path}/train:4: 300 tokens: c c c c c c …",)
    fits = int(found[2])
    assert 1 < fits < 300
    # The suggested length fits, although there are then enough pieces to fill a batch. One more token does not fit.
    text = "c O\n" * 300 + "\n"
    (tmp_path / "train").write_text("a B-X\nb O\n\n" + text * 40)
    for length, expected in ((fits, contextlib.nullcontext()), (fits + 1, pytest.raises(ConfigError))):
        config = tiny_config("model.units=500", f"data.max_length={length}", "data.trust=true")
        with expected:
            check_memory(config.training, prepare(config, note=str, warn=str), 10_000_000)
    config = tiny_config("model.units=4096", "training.batch_size=32", "data.trust=true")
    with pytest.raises(ConfigError, match=r"model\.embedding_dim: \d+ token ids of 2 numbers and the network need"):
        check_memory(config.training, prepare(config, note=str, warn=str), 10_000_000)
    check_memory(config.training, prepare(config, note=str, warn=str), None)


@pytest.mark.parametrize("decoder", ["constrained", "crf"])
def test_more_tags_than_a_transition_table_can_hold_are_refused(tiny_config, tmp_path: Path, decoder: str) -> None:
    (tmp_path / "train").write_text("".join(f"a B-T{i}\n\n" for i in range(2001)))
    config = tiny_config(f"model.decoder={decoder}", "model.scheme=IOB2", "data.trust=true")
    with pytest.raises(DataError) as error:
        prepare(config, note=str, warn=str)
    assert error.value.message == (
        f"{tmp_path}/train: found 2001 distinct tags, such as B-T997, B-T998, B-T999, expected at most 2000; name the tag column with"
        " data.columns, or set model.decoder to softmax"
    )
    softmax = tiny_config("model.decoder=softmax", "model.scheme=IOB2", "data.trust=true")
    assert len(prepare(softmax, note=str, warn=str).tags) == 2001
    (tmp_path / "train").write_text("".join(f"a T{i}\n\n" for i in range(2001)))
    if decoder == "constrained":
        assert len(prepare(config, note=str, warn=str).tags) == 2001, "plain tags have no transitions"
    (tmp_path / "train").write_text("".join(f"a B-T{i}\n\n" for i in range(2000)))
    assert len(prepare(config, note=str, warn=str).tags) == 2000
    # Training cannot write a model with more tags. Such a model is refused before the table is made.
    tags = ("O", *(f"B-T{i}" for i in range(2000)))
    directory = save_small_model(tmp_path / "m", tags=tags, scheme="IOB2", decoder="softmax")
    rewrite_manifest(directory, decoder=decoder)
    with pytest.raises(ModelError, match=r"tags\.txt: found 2001 tags, expected at most 2000; train again"):
        load_predictor(directory)


def test_faults_of_sentences_are_warnings_with_the_remedy(prepared) -> None:
    data = TRAIN.replace("\n\n", "\n").replace("\n", "\r\r\n")
    *_, warnings = prepared(train=data.encode(), dev="\ufeffa O\n\n\ufeffb B-LOC\n")
    train_warning, dev_warning = (text.split(": ", 1)[1] for text in warnings[:2])
    assert train_warning == (
        "line 1: 12 lines end in \\r\\r\\n, which is a line end and a blank line: all 12 sentences have one token; write"
        " each line end once (tr -d '\\r' < FILE > COPY)"
    )
    assert dev_warning.startswith("line 3: the line begins with U+FEFF ZERO WIDTH NO-BREAK SPACE, a byte-order mark")


def test_a_dev_file_with_its_words_elsewhere_stops_and_one_of_other_words_warns(prepared) -> None:
    words = [chr(97 + i // 5) * (1 + i % 5) for i in range(120)]

    def rows(row: str) -> str:
        return "".join(row.format(i=i, word=w, tag="O" if i % 3 else "B-X") + "\n" for i, w in enumerate(words))

    train, numbered = rows("{word} {tag}"), rows("{i} {word} {tag}")
    with pytest.raises(
        DataError, match=r"dev: its lines have 3 columns, those of the training file 2, and the token is"
    ):
        prepared(train=train, dev=numbered)
    assert any(
        "the token is read from column 0" in text for text in prepared("data.trust=true", train=train, dev=numbered)[2]
    )
    _, notes, warnings = prepared(train=train, dev=rows("{word} NN {tag}"))
    assert any(note.startswith("dev: its lines have 3 columns") for note in notes)
    assert not warnings
    (warning,) = prepared(train=train, dev=rows("x{word}y {tag}"))[2]
    assert "120 of 120 tokens are not in the training data, expected fewer than half" in warning


def test_json_lines_are_trained_on_without_being_converted_first(prepared) -> None:
    rows = [line.split(" ") for line in TRAIN.split("\n")]
    lines, tokens, tags = [], [], []
    for row in rows:
        if len(row) == 2:
            tokens.append(row[0])
            tags.append(row[1])
        elif tokens:
            lines.append(json.dumps({"tokens": tokens, "ner_tags": tags}))
            tokens, tags = [], []
    result, notes, warnings = prepared(train="\n".join(lines) + "\n")
    expected, *_ = prepared()
    assert result.encoder.tokens.tokens == expected.encoder.tokens.tokens
    assert [ids.tolist() for ids in result.training_set.sentences] == [
        ids.tolist() for ids in expected.training_set.sentences
    ]
    assert "is jsonl, read by way of CoNLL: " in notes[0]
    assert not warnings
    assert result.names.of(0).startswith(str(Path(notes[0].partition(" is jsonl")[0])))
