"""The stub model in a directory with a config and a history, and the tables of a report's page."""

from __future__ import annotations

import dataclasses
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import stored_model
from stub_model import TAG_OF_TOKEN, stub_manifest, stub_predictor

from tagger.architecture import NetworkSpec
from tagger.model_dir.store import Model, save_model
from tagger.prediction.predictor import Predictor

HISTORY = "epoch,train_loss,dev_f1,seconds,tokens_per_second,dev_loss\n1,2.0,0.25,1,9,1.5\n2,1.0,0.5,1,9,1.25\n"


def stub_in(directory: Path, tokens: tuple[str, ...] = tuple(TAG_OF_TOKEN), **changes: Any) -> Predictor:
    """Write a model directory whose config names the training file `train` beside it, and return the stub model of it.

    Args:
        tokens: the vocabulary; other tokens in the same places give another model.
        changes: fields of the manifest.
    """
    spec = NetworkSpec.from_json({**stored_model.a_manifest().network.to_json(), "characters": "none"})
    predictor = stub_predictor(stub_manifest(**changes), tokens=tokens)
    model = predictor.model
    shapes = spec.weight_shapes(model.encoder.sizes(len(model.tags)))
    weights = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    stored: Model[Any] = dataclasses.replace(
        model, directory=directory, manifest=stub_manifest(network=spec), network=weights
    )
    save_model(stored, graph=b"graph", config="data: {train: ../train, dev: null}\n", history=HISTORY)
    predictor.model = dataclasses.replace(model, directory=directory)
    return predictor


class Page(HTMLParser):
    """What is in a page.

    Attributes:
        source: the bytes of the page.
        tables: the texts of the cells, [rows][columns], by the caption.
        items: the texts of the list items.
        elements: the name and the attributes of each element.
        text: the text outside of scripts and styles.
    """

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.source = page
        self.tables: dict[str, list[list[str]]] = {}
        self.items: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self._rows: list[list[str]] = []
        self._caption = ""
        self.feed(page.decode())
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._open.append(tag)
        if tag == "table":
            self._rows, self._caption = [], ""
        elif tag == "tr":
            self._rows.append([])
        elif tag in ("td", "th"):
            self._rows[-1].append("")
        elif tag == "li":
            self.items.append("")

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass  # elements without an end
        if tag == "table":
            self.tables[self._caption] = self._rows

    def handle_data(self, data: str) -> None:
        if "script" in self._open or "style" in self._open:
            return
        self.text += data
        if "caption" in self._open:
            self._caption += data
        elif "td" in self._open or "th" in self._open:
            self._rows[-1][-1] += data
        elif "li" in self._open:
            self.items[-1] += data

    def table(self, beginning: str) -> dict[str, list[str]]:
        """Return the rows of the table whose caption begins so, by the text of their first cell."""
        (rows,) = (rows for caption, rows in self.tables.items() if caption.startswith(beginning))
        return {row[0]: row[1:] for row in rows}

    def sentences(self) -> list[str]:
        """Return the texts of the listed sentences, with single blanks."""
        return [re.sub(r"\s+", " ", item).strip() for item in self.items if "gold" in item]
