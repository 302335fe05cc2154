"""The sentences of a pandas DataFrame that has one token a row.

pandas is not imported here: whoever has a DataFrame has imported it.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tagger.wording import counted, listed

if TYPE_CHECKING:
    import pandas as pd

Column = Hashable


def check_frame(frame: object) -> None:
    """Raise TypeError unless this is a DataFrame."""
    pandas = sys.modules.get("pandas")
    if pandas is None or not isinstance(frame, pandas.DataFrame):
        raise TypeError(f"frame: found a {type(frame).__name__}, expected a pandas DataFrame")


def sentences_of_frame(
    frame: pd.DataFrame, tokens: Sequence[Column], sentence: Sequence[Column]
) -> list[list[tuple[str, ...]]]:
    """Return the sentences of a frame: consecutive rows with equal values in the columns `sentence`.

    Args:
        frame: one token a row.
        tokens: the column of the tokens, then those of their features.
        sentence: the columns that together tell sentences apart.

    Returns:
        The sentences in order, each a list of its rows, of which each has the values of the columns `tokens`.

    Raises:
        TypeError: a token is not text.
        ValueError: a column is missing or there twice, a value is missing, or a sentence continues after another one.
    """
    if not sentence:
        raise ValueError("sentence: found no column, expected at least one that tells sentences apart")
    texts = [_texts(frame, column) for column in tokens]
    names = list(zip(*(_values(frame, column) for column in sentence), strict=True))
    rows = list(zip(*texts, strict=True))
    sentences, seen, start = list[list[tuple[str, ...]]](), dict[Any, int](), 0
    for name, group in itertools.groupby(names):
        n = sum(1 for _ in group)
        if name in seen:
            shown = listed([repr(value) for value in name])
            raise ValueError(
                f"{_place(frame, start, sentence[0])}: found the sentence {shown} again, which begins in row"
                f" {seen[name]} and has ended, expected the rows of a sentence together; sort the frame, or name the"
                " columns that tell sentences apart, as in sentence=['document', 'sentence']"
            )
        seen[name] = start
        sentences.append(rows[start : start + n])
        start += n
    return sentences


def check_new(frame: pd.DataFrame, names: Sequence[Column]) -> None:
    """Raise ValueError if a frame already has one of the columns that are to be added."""
    for name in names:
        if _hashable(name) in frame.columns:
            raise ValueError(
                f"column {name!r}: found it in the frame, expected a new name, so that nothing is lost; drop the"
                " column, or choose another name with tag= or score="
            )


def with_columns(frame: pd.DataFrame, columns: Mapping[Column, tuple[list[Any], str]]) -> pd.DataFrame:
    """Return a copy of a frame with new columns, each given as its values, one a row, and its dtype."""
    pandas = sys.modules["pandas"]
    changed = frame.copy()
    for name, (values, dtype) in columns.items():
        changed[name] = pandas.Series(values, index=frame.index, dtype=dtype)
    return changed


def _values(frame: pd.DataFrame, column: Column) -> list[Any]:
    """Return the values of a column, of which none may be missing."""
    if _hashable(column) not in frame.columns:
        raise ValueError(_no_column(frame, column))
    found = frame[column]
    if found.ndim != 1:
        what = "name it by all of its levels, as in ('a', 'b')" if frame.columns.nlevels > 1 else "rename the others"
        raise ValueError(
            f"column {column!r}: found {counted(found.shape[1], 'column')} of this name, expected a single one; {what}"
        )
    missing = found.isna().to_numpy()
    if missing.any():
        raise ValueError(
            f"{_place(frame, int(missing.argmax()), column)}: found a missing value, expected one in every row; drop"
            " the row, or fill it, as with ffill() if only the first row of each sentence has a value"
        )
    return list(found)


def _hashable(column: Column) -> Column:
    try:
        hash(column)
    except TypeError:
        raise TypeError(
            f"found the {type(column).__name__} {column!r:.60}, expected the name of one column; only sentence= takes a"
            " list of names"
        ) from None
    return column


def _no_column(frame: pd.DataFrame, column: Column) -> str:
    """Return what is wrong with the name of a column that a frame lacks."""
    if column in frame.index.names:
        return (
            f"column {column!r}: found it in the index, expected a column; make it one, as with"
            f" frame.reset_index({column!r})"
        )
    names = [repr(name) for name in frame.columns]
    expected = f"one of {listed(names)}" if names else "columns of tokens and sentences"
    return f"column {column!r}: found none in the frame, expected {expected}; name it with token= or sentence="


def _texts(frame: pd.DataFrame, column: Column) -> list[str]:
    values = _values(frame, column)
    if not set(map(type, values)) <= {str}:
        for i, value in enumerate(values):
            if not isinstance(value, str):
                raise TypeError(
                    f"{_place(frame, i, column)}: found {value!r:.60} of type {type(value).__name__}, expected text;"
                    " convert the column with astype(str)"
                )
    return values


def _place(frame: pd.DataFrame, row: int, column: Column) -> str:
    return f"row {row} (index {frame.index[row]!r}), column {column!r}"
