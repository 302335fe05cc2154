"""What a training shows at its start: the data and the network, in tables that fit in 40 columns."""

from __future__ import annotations

import collections
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tagger.wording import cell, counted

if TYPE_CHECKING:
    from tagger.network.summary import LayerFacts
    from tagger.training.facts import DataFacts

_NAME_WIDTH = 16
_MOST_TYPES = 20


def format_data(data: DataFacts) -> list[str]:
    """Return a table of the sentences, tokens and entities by type, and how much of dev is new."""
    sets = {"train": data.train} | ({} if data.dev is None else {"dev": data.dev})
    types: collections.Counter[str] = collections.Counter()
    for found in sets.values():
        types.update(found.types)
    shown = sorted(name for name, _ in types.most_common(_MOST_TYPES))
    rows = [
        ("sentences", [found.sentences for found in sets.values()]),
        ("tokens", [found.tokens for found in sets.values()]),
    ]
    if types:
        rows.append(("entities", [found.entities for found in sets.values()]))
    rows += [
        (f"  {cell(name, _NAME_WIDTH - 2)}", [found.types.get(name, 0) for found in sets.values()]) for name in shown
    ]
    lines = [f"{'data':{_NAME_WIDTH}}{''.join(f'{name:>11}' for name in sets)}"]
    lines += [f"{name:{_NAME_WIDTH}}{''.join(f'{n:11,}' for n in numbers)}" for name, numbers in rows]
    if len(types) > len(shown):
        lines.append(f"  and {counted(len(types) - len(shown), 'rarer type')}")
    if data.unseen is not None:
        lines.append(f"{100 * data.unseen:.0f} % of the entities in dev do not occur in train")
    return lines


def format_network(layers: Sequence[LayerFacts]) -> list[str]:
    """Return a table of the layers with their sizes and weights."""
    rows = [("network", "in → out", "weights")]
    rows += [(layer.name, f"{layer.n_in} → {layer.n_out}", f"{layer.n_weights:,}") for layer in layers]
    rows.append(("all", "", f"{sum(layer.n_weights for layer in layers):,}"))
    sizes, weights = (max(len(row[i]) for row in rows) for i in (1, 2))
    return [f"{name:{_NAME_WIDTH}} {size:>{sizes}} {n:>{weights + 1}}" for name, size, n in rows]
