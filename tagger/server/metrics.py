"""The metrics of a server, for Prometheus; those of all workers together, if there are several."""

from __future__ import annotations

import os

import prometheus_client
from prometheus_client import multiprocess

ENDPOINTS = frozenset(("/v1/tag", "/v1/models", "/healthz", "/readyz", "/metrics", "/openapi.json", "/"))
SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # the name of a variable, which the library reads when it is imported
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
MEDIA_TYPE = prometheus_client.CONTENT_TYPE_LATEST.encode()


class Metrics:
    """The metrics that the parts of the server count in."""

    def __init__(self) -> None:
        self._registry = registry = prometheus_client.CollectorRegistry()
        prometheus_client.ProcessCollector(registry=registry)
        self._answers = prometheus_client.Counter(
            "tagger_answers", "Answers", ["endpoint", "status"], registry=registry
        )
        self.seconds = prometheus_client.Histogram(
            "tagger_request_seconds", "Time from a request's head to its answer", buckets=_SECONDS, registry=registry
        )
        self._requests_in_batch = prometheus_client.Histogram(
            "tagger_batch_requests", "Requests that are tagged together", ["model"], buckets=_SIZES, registry=registry
        )
        self._sentences = prometheus_client.Counter(
            "tagger_sentences", "Tagged sentences", ["model"], registry=registry
        )
        self._tokens = prometheus_client.Counter("tagger_tokens", "Tagged tokens", ["model"], registry=registry)
        self.held = prometheus_client.Gauge(
            "tagger_requests_held",
            "Requests being read, waiting or being tagged",
            multiprocess_mode="livesum",
            registry=registry,
        )
        self._reloads = prometheus_client.Counter(
            "tagger_model_reloads", "Models taken from an exchanged directory", ["model", "result"], registry=registry
        )

    def observe_answer(self, path: str, status: int) -> None:
        """Count an answer; paths that a client has made up share a name."""
        self._answers.labels(path if path in ENDPOINTS else "other", status).inc()

    def observe_batch(self, model: str, n_requests: int, n_sentences: int, n_tokens: int) -> None:
        """Count a batch."""
        self._requests_in_batch.labels(model).observe(n_requests)
        self._sentences.labels(model).inc(n_sentences)
        self._tokens.labels(model).inc(n_tokens)

    def observe_reload(self, model: str, result: str) -> None:
        """Count an attempt to take over a new model; the result is `ok` or `failed`."""
        self._reloads.labels(model, result).inc()

    def text(self) -> bytes:
        """Return all metrics in Prometheus's format."""
        if SHARED_FOLDER not in os.environ:
            return prometheus_client.generate_latest(self._registry)
        registry = prometheus_client.CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return prometheus_client.generate_latest(registry)


def forget_process(pid: int) -> None:
    """Drop what a worker that has ended counts as being held now."""
    multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call]
