"""The network in ONNX Runtime, which computes the logits of sentences of ids."""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from tagger import filesystem
from tagger.architecture import CRF_OUTPUTS, NetworkSpec
from tagger.corpus.transitions import Transitions
from tagger.errors import DeviceError, ModelError
from tagger.inputs.batching import pad
from tagger.inputs.characters import WordForms
from tagger.inputs.encoder import FIRST_FEATURE, FORM, TOKEN, Encoder
from tagger.inputs.vocabulary import Ids, TagVocabulary
from tagger.machine import available_cores, available_memory, raise_if_out_of_memory
from tagger.model_dir.files import EMBEDDINGS, GRAPH, STORED, ModelFiles
from tagger.model_dir.manifest import Manifest
from tagger.model_dir.store import check_embedding_size, description, load_model
from tagger.prediction.decoding import Logits
from tagger.prediction.onnx_check import check_graph
from tagger.prediction.onnx_graph import FormTable, structure_of
from tagger.prediction.onnx_split import split_graph
from tagger.prediction.predictor import Predictor
from tagger.wording import counted

_LARGEST_LOGIT = 1e30
_ALWAYS_FITS = 1 << 27  # bytes; few batches of a usual network reach this number, so the check costs nothing
_GPU_BATCH_TOKENS = 16384  # large, because a GPU computes each step for many sentences at once
_FORM_BYTES = 1 << 22  # the memory of the forms that are computed at a time; more would not stay in a core's cache
FormRows = npt.NDArray[np.float32]  # [S, width], what a network makes of S distinct forms


class OnnxSession:
    """The loaded graph of a network; several threads may call it at the same time.

    Args:
        graph: the content of a graph that has been checked.
        embedding: the folder of its embedding, which is mapped into memory instead of read; or the embedding itself,
            [V, E], where a file that is mapped could not be replaced.
        forms: the graph of the table of forms and the table itself, which `graph` then has as an input; None if the
            network reads no forms.
        device: `cpu` or `gpu`.
        shown: the path that messages show.

    Raises:
        ModelError: the graph cannot be loaded.
        DeviceError: `gpu` is requested and cannot be used.
    """

    def __init__(
        self,
        graph: bytes,
        embedding: str | npt.NDArray[np.floating],
        *,
        forms: tuple[bytes, FormTable] | None = None,
        device: str = "cpu",
        shown: Path | str = GRAPH,
    ) -> None:
        self._shown = shown
        self.transitions: Transitions | None = None  # the transition weights of a CRF
        # The approximate memory that each token of a batch takes, and each character of each distinct token.
        self.bytes_per_step = self.bytes_per_character = 0
        self.available_memory = (
            available_memory  # returns how many bytes of memory are free, or None if that is unknown
        )
        providers = _providers(device)
        self._session = _open(graph, embedding, providers)
        self._inputs = [graph_input.name for graph_input in self._session.get_inputs()]
        self._forms: onnxruntime.InferenceSession | None = None
        if forms is not None:
            content, self._table = forms
            self._forms = _open(content, None, ["CPUExecutionProvider"])
            self._form_inputs = [graph_input.name for graph_input in self._forms.get_inputs()]
        if device == "gpu" and "CUDAExecutionProvider" not in self._session.get_providers():
            raise DeviceError(
                "--device gpu: ONNX Runtime cannot use the GPU, because its CUDA provider does not load; check with"
                " nvidia-smi, install the versions of CUDA and cuDNN that onnxruntime-gpu needs, or use --device cpu"
            )

    @property
    def n_tags(self) -> object:
        """K, according to the graph."""
        return self._session.get_outputs()[0].shape[-1]

    def check(self, expected: str) -> None:
        """Raise ModelError unless the graph's own description of its network matches the rest of the directory."""
        try:
            found = self._session.get_modelmeta().custom_metadata_map.get("network")
        except UnicodeDecodeError:
            found = None
        if _completed(found) != json.dumps(json.loads(expected), sort_keys=True):
            raise ModelError(
                f"{self._shown}: is not the network that the manifest and the vocabularies describe; train again",
                detail=[f"found    {found}", f"expected {expected}"],
            )

    def read_transitions(self, encoder: Encoder) -> Transitions:
        """Read the transition weights that a CRF has learned; the graph outputs them for every input."""
        (sentence,), forms = encoder.encode([[["x"]] * (1 + encoder.n_in_file)])
        feeds = self._feeds(*pad([sentence]), self.represent(forms))
        try:
            arrays = self._session.run(CRF_OUTPUTS, feeds)
        except Exception as error:  # see _open
            raise_if_out_of_memory(error)
            raise ModelError(
                f"{self._shown}: the transition weights of its CRF cannot be read: {_first_line(error)}; train again"
            ) from None
        k = self.n_tags
        sound = all(np.abs(array).max(initial=0.0) <= _LARGEST_LOGIT for array in arrays)
        if [array.shape for array in arrays] != [(k, k), (k,), (k,)] or not sound:
            raise ModelError(
                f"{self._shown}: found transition weights that have the wrong shape, are too large or are not finite,"
                f" expected finite weights for {k} tags; train again"
            )
        transition, start, end = (array.astype(np.float64) for array in arrays)
        return Transitions(transition, start, end, learned=True)

    def represent(self, forms: WordForms | None) -> FormRows | None:
        """Compute what the network makes of each form; None if it reads none.

        Forms of similar length are computed together, so that few characters are padding.
        """
        if forms is None or self._forms is None:
            return None
        n, width = len(forms.lengths), self._table.width
        self._check_memory(4 * n * width, counted(n, "distinct token"))
        rows, order = np.empty((n, width), np.float32), np.argsort(forms.lengths, kind="stable")
        most, start = _FORM_BYTES // max(1, self.bytes_per_character), 0
        lengths = forms.lengths[order]
        while start < n:
            # The longest of `size` forms is the last one: as many as fit with their padding, but at least one.
            size = int(np.searchsorted(lengths[start:] * np.arange(1, n - start + 1), most, side="right")) or 1
            chosen = order[start : start + size]
            some = forms.select(chosen)
            feeds = {"casing": some.casing, "characters": some.padded()}
            try:
                (found,) = self._forms.run(None, {name: feeds[name] for name in self._form_inputs})
            except Exception as error:  # see _open
                raise_if_out_of_memory(error)
                raise ModelError(
                    f"{self._shown}: ONNX Runtime failed on {counted(size, 'distinct token')} of up to"
                    f" {counted(lengths[start + size - 1], 'character')}: {_first_line(error)}; train again"
                ) from None
            rows[chosen] = found
            start += size
        return rows

    def __call__(self, sentences: Sequence[Ids], forms: WordForms | FormRows | None = None) -> Logits:
        """Compute the logits [B, T, K] of encoded sentences, each of at least one token."""
        padded, lengths = pad(sentences)
        self._check_memory(
            self.bytes_per_step * len(padded) * padded.shape[1],
            f"{counted(len(padded), 'sentence')} of up to {counted(padded.shape[1], 'token')}",
        )
        feeds = self._feeds(padded, lengths, self.represent(forms) if isinstance(forms, WordForms) else forms)
        try:
            logits: Logits = self._session.run(["logits"], feeds)[0]
        except Exception as error:  # see _open
            raise_if_out_of_memory(error)
            raise ModelError(
                f"{self._shown}: ONNX Runtime failed on {counted(len(lengths), 'sentence')} of up to"
                f" {counted(lengths.max(), 'token')}:"
                f" {_first_line(error)}; train again"
            ) from None
        expected = (*padded.shape[:2], self.n_tags)
        # Logits above the limit would make sums overflow. `not … <=` is also true for NaN, unlike `>`.
        if logits.shape != expected or not np.abs(logits).max(initial=0.0) <= _LARGEST_LOGIT:
            values = ", some of them too large or not finite" if logits.shape == expected else ""
            raise ModelError(
                f"{self._shown}: found logits of the shape {logits.shape}{values}, expected finite logits of the shape"
                f" {expected} up to {_LARGEST_LOGIT:g}; train again"
            )
        return logits

    def _feeds(self, padded: Ids, lengths: Ids, forms: FormRows | None) -> dict[str, npt.NDArray[Any]]:
        """Return the inputs of the graph: [B], and [B, T] token ids or [B, T, 2 + F] encoded sentences."""
        if padded.ndim == 2:
            return {"token_ids": padded, "lengths": lengths}
        feeds: dict[str, npt.NDArray[Any]] = {
            "token_ids": padded[..., TOKEN],
            "lengths": lengths,
            "feature_ids": padded[..., FIRST_FEATURE:],
        }
        if forms is not None:
            feeds |= {"spelling_rows": padded[..., FORM], self._table.name: forms}
        return {name: feeds[name] for name in self._inputs}

    def _check_memory(self, wanted: int, what: str) -> None:
        """Refuse what cannot fit into memory, because the system would kill the process without a message."""
        if wanted < _ALWAYS_FITS:
            return
        available = self.available_memory()
        if available is not None and wanted > available:
            raise ModelError(
                f"{self._shown}: {what} need {wanted / 1e9:.1f} GB of memory, expected at most the"
                f" {available / 1e9:.1f} GB that is free; use shorter sentences, or train with a smaller"
                " data.max_length"
            )


def _open(
    graph: bytes, embedding: str | npt.NDArray[np.floating] | None, providers: list[Any]
) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    # One core per batch and several batches at a time are up to twice as fast as one batch on all cores.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # errors need not be logged, because they are raised
    # A pattern of memory would be kept for each shape of a batch; it does not make prediction faster.
    options.enable_mem_pattern = False
    if isinstance(embedding, str):
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", embedding)
    try:
        if isinstance(embedding, np.ndarray):
            options.add_external_initializers(["embedding"], [onnxruntime.OrtValue.ortvalue_from_numpy(embedding)])
        return onnxruntime.InferenceSession(graph, options, providers=providers)
    except Exception as error:  # ONNX Runtime's own exceptions have no common base class
        raise_if_out_of_memory(error)
        version = onnxruntime.__version__
        raise ModelError(f"cannot be loaded by ONNX Runtime {version}: {_first_line(error)}") from None


def _completed(description: str | None) -> str | None:
    """Add defaults to a graph's description of its network, for settings that are newer than the graph.

    Returns:
        The description as JSON with sorted keys, or None if it is not JSON.
    """
    with contextlib.suppress(ValueError, TypeError, AttributeError, RecursionError):
        found = json.loads(str(description))
        return json.dumps({**NetworkSpec().to_json(), **found}, sort_keys=True)
    return None


def open_session(
    files: ModelFiles, manifest: Manifest, encoder: Encoder, tags: TagVocabulary, *, device: str
) -> OnnxSession:
    """Open the network of a model directory in ONNX Runtime, after verifying its files.

    Raises:
        ModelError: a file has been altered, or the files do not fit together.
        DeviceError: the device cannot be used, or not for this model.
    """
    sizes = encoder.sizes(len(tags))
    expected = check_embedding_size(files, manifest, encoder)
    embedding = _embedding(files, manifest)
    structure = structure_of(manifest.network, sizes, quantized=manifest.quantization is not None)
    if device == "gpu" and manifest.quantization is not None:
        raise DeviceError(
            f"--device gpu: {files.directory} has 8-bit weights (output.quantize), which ONNX Runtime computes with on"
            " a CPU only; use --device cpu, or a model without output.quantize"
        )
    graph = files.verified(GRAPH)
    try:
        check_graph(graph, structure, external={"location": EMBEDDINGS, "offset": "0", "length": str(expected)})
        forms = None
        if structure.form_table is not None:
            of_forms, graph = split_graph(graph, structure, structure.form_table)
            forms = of_forms, structure.form_table
    except ValueError as error:
        raise ModelError(
            f"{files.path(GRAPH)}: is not the network that the manifest describes: {error}; train again"
        ) from None
    try:
        engine = OnnxSession(graph, embedding, forms=forms, device=device, shown=files.path(GRAPH))
    except ModelError as error:
        files.check_not_replaced()
        raise ModelError(f"{files.path(GRAPH)}: {error.message}; train again") from None
    engine.check(description(manifest, encoder, tags))
    engine.bytes_per_step = manifest.network.prediction_bytes(sizes)
    engine.bytes_per_character = manifest.network.prediction_bytes_of_a_character
    if manifest.network.has_crf:
        engine.transitions = engine.read_transitions(encoder)
    files.check_not_replaced()
    return engine


def _embedding(files: ModelFiles, manifest: Manifest) -> str | npt.NDArray[np.floating]:
    """Verify the embedding and return its folder, or the embedding itself where a mapped file could not be replaced."""
    if not filesystem.LOCKS_OPEN_FILES:
        files.verify(EMBEDDINGS)
        return files.path_for_libraries("")
    numbers = np.frombuffer(files.verified(EMBEDDINGS), STORED[manifest.embedding_dtype])
    return numbers.reshape(-1, manifest.network.embedding_dim)


def _providers(device: str) -> list[Any]:
    if device == "cpu":
        return ["CPUExecutionProvider"]
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        raise DeviceError(
            "--device gpu: this ONNX Runtime was built for the CPU; replace it with onnxruntime-gpu (pip uninstall"
            " onnxruntime, then pip install onnxruntime-gpu), or use --device cpu"
        )
    # TensorFloat-32 has only 10 bits of precision, so the tags would differ from those of the CPU.
    return [("CUDAExecutionProvider", {"use_tf32": "0"}), "CPUExecutionProvider"]


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:200]


def load_predictor(directory: Path, *, threads: int | None = None, device: str = "cpu") -> Predictor:
    """Load a model directory, ready to tag.

    Args:
        directory: the model directory.
        threads: the number of batches to compute side by side; None for one per core, or for two on a GPU.
        device: `cpu` or `gpu`.

    Raises:
        ModelError: the directory is missing, partial, altered, or of another format.
        DeviceError: the device cannot be used.
    """
    model = load_model(directory, functools.partial(open_session, device=device))
    if device == "gpu":
        return Predictor(model, threads=threads or 2, batch_tokens=_GPU_BATCH_TOKENS)
    return Predictor(model, threads=threads or available_cores())
