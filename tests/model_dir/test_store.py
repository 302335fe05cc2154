"""The model directory: complete, verified and replaced in one step."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save as save_tensors
from stored_model import TOKENS, a_manifest, load_model, rewrite_manifest, save

from tagger import atomic, filesystem
from tagger.errors import ModelError
from tagger.inputs.characters import CharacterVocabulary
from tagger.inputs.computed import FeatureSpec
from tagger.inputs.encoder import Encoder, Sizes
from tagger.inputs.vocabulary import Normalization, TagVocabulary, TokenVocabulary
from tagger.model_dir.files import MODEL_FILES
from tagger.model_dir.manifest import Manifest
from tagger.model_dir.store import check_place, check_savable


def test_a_saved_model_is_loaded_unchanged(tmp_path: Path) -> None:
    save(tmp_path / "model")
    model = load_model(tmp_path / "model")
    assert model.manifest == a_manifest()
    assert model.encoder.tokens == TokenVocabulary((*TOKENS, "seed 1"), Normalization(lowercase=True))
    assert model.tags.tags == ("O", "B-X", "I-1")
    assert model.encoder.characters == CharacterVocabulary(("é", "\u3000", "\u2028", "\r"))
    chunk, pos, *of_tokens = (column.tokens for column in model.encoder.features)
    assert (chunk, pos) == (("a\tb", "", "B"), ("NNP", " "))
    assert of_tokens == [("O", "B"), ("0", "-"), ("011",), ("th", "#"), ("e</w>", "# </w>")]
    computed = model.encoder.computed
    lists, clusters, subwords = computed.lists, computed.clusters, computed.subwords
    assert subwords is not None
    assert subwords.size == 5
    assert subwords.pairs == (("t", "h"), ("\u2028", "\x0b"), ("#", " </w>"))
    assert lists is not None
    assert clusters is not None
    assert (lists.phrases, lists.ignore_case) == ({"city": ["New York", "a\u3000b", "\x0b", "seed 1"]}, True)
    assert (clusters.paths, clusters.bits) == ({"the": "0110", "a\u2028b": "0", "#": "1"}, (1, 3))
    assert len(model.network) == 13
    np.testing.assert_array_equal(model.network["embedding"], np.ones((len(model.encoder.tokens), 3), np.float32))
    np.testing.assert_array_equal(model.network["softmax.kernel"], np.ones((3, 3), np.float32))
    assert (tmp_path / "model/model.onnx").read_bytes() == b"graph 1"
    assert (tmp_path / "model/embeddings.bin").read_bytes() == np.ones((len(model.encoder.tokens), 3), "<f4").tobytes()


def weights(**changes: np.ndarray) -> dict[str, np.ndarray]:
    """Return the weights that `save` writes, with changes, in which `__` stands for a dot."""
    sizes = Sizes(n_tokens=len(TOKENS) + 3, n_tags=3, n_characters=6, n_features=7, n_feature_ids=28)
    shapes = a_manifest().network.weight_shapes(sizes)
    plain = {name: np.ones(shape, np.float32) for name, shape in shapes.items() if name != "embedding"}
    return plain | {name.replace("__", "."): array for name, array in changes.items()}


def without_computed() -> Manifest:
    return dataclasses.replace(a_manifest(), features=FeatureSpec())


def test_vocabulary_files_have_one_line_for_each_id(tmp_path: Path) -> None:
    save(tmp_path / "model")
    tokens = (tmp_path / "model/tokens.txt").read_bytes().decode().split("\n")
    assert tokens == [*TOKENS, "seed 1", ""]
    assert load_model(tmp_path / "model").encoder.tokens.encode(["É"]).tolist() == [tokens.index("é") + 2]
    assert (tmp_path / "model/tags.txt").read_bytes() == b"O\nB-X\nI-1\n"


@pytest.mark.parametrize("tag", ["B-Titre 2", 'B-"x"', "B-\x85", "B-a-b  c", "B-\u2028", "B-\0"])
def test_types_may_hold_blanks_and_other_signs(tmp_path: Path, tag: str) -> None:
    save(tmp_path / "model", tags=("O", tag))
    model = load_model(tmp_path / "model")
    assert model.tags.tags == ("O", tag)
    check_savable(model.manifest, model.encoder, model.tags)


@pytest.mark.parametrize("tag", ["B-a\tb", "B-a ", "B-a\nb", "B-a\rb", "X-a", "", "O", "B-\ud800"])
def test_tags_that_cannot_be_read_back_are_found_before_training(tag: str) -> None:
    vocabulary = TagVocabulary(("O", tag))
    with pytest.raises(ModelError) as error:
        check_savable(a_manifest(), Encoder(TokenVocabulary(("a",))), vocabulary)
    assert error.value.message == (
        f"tags.txt:2: found {tag!r}, expected a distinct tag of the scheme IOB2; fix the data"
    )


@pytest.mark.parametrize("column", ["token", "pos"])
def test_tokens_and_features_that_cannot_be_read_back_are_found_before_training(column: str) -> None:
    plain, odd = TokenVocabulary(("a",)), TokenVocabulary(("a", "b\nc"))
    encoder = Encoder(odd if column == "token" else plain, None, False, (plain, odd if column == "pos" else plain))
    with pytest.raises(ModelError) as error:
        check_savable(without_computed(), encoder, TagVocabulary(("O",)))
    assert error.value.message == (
        f"column {column}: found 'b\\nc', expected text without line ends that UTF-8 can encode; fix the data"
    )


def test_a_manifest_that_is_too_large_to_be_read_back_is_found_before_training() -> None:
    plain = TokenVocabulary(("a",))
    encoder, tags = Encoder(plain, None, False, (plain, plain)), TagVocabulary(("O",))
    for n, fits in ((100, True), (27_000, False)):
        layout = dataclasses.replace(a_manifest().layout, known_tags=frozenset(f"{i:01000}" for i in range(n)))
        manifest = dataclasses.replace(without_computed(), layout=layout)
        if fits:
            check_savable(manifest, encoder, tags)
            continue
        with pytest.raises(ModelError, match=r"the tag column has 27000 distinct values; name another one"):
            check_savable(manifest, encoder, tags)


def test_equal_models_are_written_as_equal_bytes(tmp_path: Path) -> None:
    save(tmp_path / "a")
    save(tmp_path / "b")
    for name in MODEL_FILES:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("tokens.txt", b"a\nb\na\n", "tokens.txt: a token occurs twice"),
        ("tokens.txt", b"a\xff\n", "tokens.txt: is not UTF-8"),
        ("tags.txt", b"O\nB-X\nO\n", "tags.txt:3: found 'O', expected a distinct tag of the scheme IOB2"),
        ("tags.txt", b"O\nX-LOC\n", "tags.txt:2: found 'X-LOC', expected a distinct tag of the scheme IOB2"),
        ("tags.txt", b"O\nLOC\n", "tags.txt:2: found 'LOC', expected"),
        ("tags.txt", b"O\nB-a\tb\n", "tags.txt:2: found 'B-a\\tb', expected"),
        ("tags.txt", b"", "tags.txt: found no tag"),
        ("features.txt", b"pos\tNNP\nlists.town\tB\n", "features.txt: found the line 'lists.town\\tB', expected chunk or pos or lists.city or clusters.1 or clusters.3 or subwords.first or subwords.last, a TAB and a value"),
        ("lists.txt", b"city\tNew York\ntown\tYork\n", "lists.txt: found the line 'town\\tYork', expected city, a TAB and a phrase"),
        ("lists.txt", b"city New York\n", "lists.txt: found the line 'city New York', expected city, a TAB and a phrase"),
        ("lists.txt", b"city\tNew  York\n", "lists.txt: found the phrase 'new  york', expected 1 to 100 tokens"),
        ("lists.txt", b"city\t\n", "lists.txt: found the phrase '', expected 1 to 100 tokens"),
        ("lists.txt", b"city\t" + b"a " * 100 + b"a\n", "lists.txt: found the phrase 'a a a"),
        ("lists.txt", b"city\t\xff\n", "lists.txt: is not UTF-8"),
        ("clusters.txt", b"the\t01\nthe\t01\n", "clusters.txt: found 1 words twice"),
        ("clusters.txt", b"the\t012\n", "clusters.txt: found the path '012', expected 1 to 64 bits"),
        ("clusters.txt", b"the\n", "clusters.txt: found the line 'the', expected a word, a TAB and its bits"),
        ("clusters.txt", b"the\t01\n10\n", "clusters.txt: found the line '10', expected a word, a TAB and its bits"),
        ("clusters.txt", b"\t01\n", "clusters.txt: found the line '\\t01', expected a word, a TAB and its bits"),
        ("clusters.txt", b"the\t" + b"0" * 65 + b"\n", "clusters.txt: found the path '000"),
        ("subwords.txt", b"t\th\nt\th\n", "subwords.txt: found 1 pairs twice"),
        ("subwords.txt", b"a\tb\n" * 6, "subwords.txt: found 6 pairs, expected at most 5"),
        ("subwords.txt", b"\t" + b"x" * 9999 + b"\n", "subwords.txt: found the pair ('', 'xxx"),
        ("subwords.txt", b"t h\n", "subwords.txt: found the line 't h', expected two symbols with a TAB between them"),
        ("subwords.txt", b"t\th\te\n", "subwords.txt: found the line 't\\th\\te', expected two symbols"),
        ("subwords.txt", b"t\t\n", "subwords.txt: found the pair ('t', ''), expected two symbols that are not empty"),
        ("weights.safetensors", b"", "weights.safetensors: "),
        ("weights.safetensors", save_tensors(weights(block_1__forward__bias=np.full(12, np.nan, np.float32))), "weights.safetensors: block_1.forward.bias: found float32 with 12 infinite or NaN values"),
        ("weights.safetensors", save_tensors(weights(more=np.zeros(1, np.float32))), "weights.safetensors: more: found the shape [1], expected nothing for the network that manifest.json describes"),
        ("weights.safetensors", save_tensors(weights(softmax__bias=np.zeros(4, np.float32))), "weights.safetensors: softmax.bias: found the shape [4], expected the shape [3] for"),
        ("weights.safetensors", save_tensors({}), "weights.safetensors: block_1.backward.bias: found nothing, expected the shape [12] for"),
        ("embeddings.bin", bytes(12), "embeddings.bin: found 12 bytes, expected 132: 11 ids of 3 numbers"),
        ("weights.safetensors", save_tensors(weights(softmax__bias=np.zeros(3, int))), "weights.safetensors: softmax.bias: found int64 with 0 infinite or NaN values, expected finite float32"),
    ],
)  # fmt: skip
def test_a_file_with_wrong_content_and_a_correct_checksum_is_an_error(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    save(tmp_path / "model")
    (tmp_path / "model" / name).write_bytes(content)
    files = json.loads((tmp_path / "model/manifest.json").read_text("utf-8"))["files"]
    files[name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    rewrite_manifest(tmp_path / "model", files=files)
    with pytest.raises(ModelError) as error:
        load_model(tmp_path / "model")
    assert error.value.message.startswith(f"{tmp_path}/model/{message}")


def test_files_of_the_user_are_never_replaced(tmp_path: Path) -> None:
    save(tmp_path / "model")
    (tmp_path / "model/notes.txt").write_text("mine")
    with pytest.raises(ModelError, match=r"holds notes\.txt, which is not part of a model and would be lost"):
        save(tmp_path / "model", seed=2)
    assert (tmp_path / "model/notes.txt").read_text() == "mine"
    assert load_model(tmp_path / "model").manifest.seed == 1
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ModelError, match="is a file, expected a model directory or nothing"):
        save(tmp_path / "file")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/config.yaml").write_text("mine")  # a name that occurs in models, but this is not a model
    with pytest.raises(ModelError, match=r"holds config\.yaml, which is not part of a model"):
        save(tmp_path / "mine")
    assert (tmp_path / "mine/config.yaml").read_text() == "mine"


def test_the_working_directory_is_never_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path / "model")
    monkeypatch.chdir(tmp_path / "model")
    with pytest.raises(ModelError, match="found the working directory in it, expected a separate directory"):
        save(Path())
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)
    with pytest.raises(ModelError, match="found the working directory in it, expected a separate directory"):
        check_place(empty)


def test_an_unwritable_place_is_found_before_training(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for place in (tmp_path / "file/model", tmp_path / ("long" * 100), Path("/proc/model")):
        with pytest.raises(ModelError, match=r"cannot be written: .* choose another place"):
            check_place(place)
    with pytest.raises(ModelError, match="File name too long; shorten its name, or choose another place with --model"):
        check_place(tmp_path / ("m" * 236))  # its own name would fit, and the one beside it would not
    check_place(tmp_path / ("m" * 220))
    check_place(tmp_path / "new/model")
    assert not (tmp_path / "new/model").exists()


def test_a_place_inside_a_model_directory_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "model")
    for name in ("model/sub", "model/deep/sub"):
        with pytest.raises(ModelError, match=r"sub: is inside the model directory .*model, expected another place"):
            check_place(tmp_path / name)


def test_a_link_to_a_model_directory_is_followed(tmp_path: Path) -> None:
    save(tmp_path / "real")
    (tmp_path / "link").symlink_to("real")
    save(tmp_path / "link", seed=2)
    assert (tmp_path / "link").is_symlink()
    assert load_model(tmp_path / "real").manifest.seed == 2


def test_an_unwritable_place_is_an_error_and_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ModelError, match="model: cannot be written: "):
        save(tmp_path / "file" / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("system", ["Linux", "no exchange", "no exchange, no descriptors"])
def test_a_reader_never_sees_a_mixture_of_the_old_and_the_new_model(
    tmp_path: Path, system: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if system != "Linux":
        monkeypatch.setattr(atomic, "_renameat2", lambda: None)
    if "no descriptors" in system:
        monkeypatch.setattr(filesystem, "_HAS_DIRECTORY_DESCRIPTORS", False)
    patiently = atomic.patiently

    def slowly(change: Callable[[], object]) -> object:
        """Rename, and wait, so that the readers meet each state between two renames."""
        found = patiently(change)
        time.sleep(0.001)
        return found

    monkeypatch.setattr(atomic, "patiently", slowly)
    directory = tmp_path / "model"
    save(directory)
    done, seen, problems = threading.Event(), set(), []

    def read() -> None:
        while not done.is_set():
            try:
                model = load_model(directory)
            except Exception as error:
                problems.append(error)
                return
            seeds = {model.manifest.seed, int(model.encoder.tokens.tokens[-1][5:]), int(model.tags.tags[-1][2:])}
            seeds.add(int(model.network["embedding"][0, 0]))
            seen.add(model.manifest.seed)
            if len(seeds) != 1:
                problems.append(seeds)
            time.sleep(0.0005)  # without it, the readers would mostly keep the one who writes waiting

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for seed in range(2, 22):
        save(directory, seed)
    done.set()
    for reader in readers:
        reader.join()
    assert not problems
    assert len(seen) > 3
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
