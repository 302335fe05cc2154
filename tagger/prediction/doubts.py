"""Signs that the lines to tag are not what the model was trained on: raw text, other columns, another language."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from tagger.corpus.conll import Sentence
from tagger.corpus.layout import Layout
from tagger.inputs.encoder import Encoder
from tagger.inputs.vocabulary import UNK_ID
from tagger.wording import cell, counted

_N_LOOKED_AT = 2000  # tokens at the beginning of the input; later ones hardly ever change the verdict
_FEWEST_UNKNOWN = 100  # tokens below which the share of unknown ones proves nothing
_HALF, _MOST = 0.5, 0.9
_MANY_WORDS = 4  # on a line of raw text
_SHOWN = 40  # characters of a line or token in a message


class InputDoubts:
    """A look at the first tokens of an input, which warns at most once of each sign.

    Args:
        encoder: the vocabularies of the model.
        layout: the layout that the input is read with.
        path: the name of the input in messages.
        warn: called with each warning.
    """

    def __init__(self, encoder: Encoder, layout: Layout, path: str, warn: Callable[[str], None]) -> None:
        self._tokens, self._layout, self._path, self._warn = encoder.tokens, layout, path, warn
        self._usual = max(layout.n_columns or 0, 1 + max(layout.columns.values()), 2)
        self._n_tokens = self._n_unknown = self._n_wide = self._n_sentences = 0
        self._widths: set[int] = set()
        self._first_wide: tuple[int, str] | None = None
        self._first_blank: tuple[int, str] | None = None
        self._n_blank = self._n_unnumbered = 0
        self._first_unnumbered: tuple[int, str] | None = None
        self._is_over = False

    def watch(self, sentences: Iterable[Sentence]) -> Iterator[Sentence]:
        """Yield the sentences, and warn as soon as enough of them were seen, or at their end."""
        for sentence in sentences:
            if not self._is_over:
                self._look(sentence)
                # A pause waits for a person or a slow program, who should not have to wait for the verdict.
                if self._n_tokens >= _N_LOOKED_AT or (not sentence.lines and self._n_tokens):
                    self._judge()
            yield sentence
        if not self._is_over and self._n_tokens:
            self._judge()

    def _look(self, sentence: Sentence) -> None:
        if not sentence.tokens:
            return
        self._n_sentences += 1
        split = self._layout.splitter()
        self._n_unknown += int((self._tokens.encode(sentence.tokens) == UNK_ID).sum())
        for i, token in enumerate(sentence.tokens):
            line = sentence.lines[sentence.token_rows[i]].decode(self._layout.encoding, "replace").rstrip("\r\n")
            self._n_tokens += 1
            if self._layout.index_column is not None:
                self._look_at_number(split(line), sentence.line_number(i))
            n_words = max(len(split(line)), len(line.split(" ")) if "\t" not in line else 0)
            if n_words > max(self._usual, _MANY_WORDS - 1):
                self._n_wide += 1
                self._widths.add(n_words)
                self._first_wide = self._first_wide or (sentence.line_number(i), line)
            elif self._layout.separator == "\t" and "\t" not in line and " " in token.strip(" "):
                self._n_blank += 1
                self._first_blank = self._first_blank or (sentence.line_number(i), token)

    def _look_at_number(self, cells: list[str], line: int) -> None:
        cell_ = cells[self._layout.index_column or 0] if len(cells) > (self._layout.index_column or 0) else ""
        if not cell_.isdecimal():
            self._n_unnumbered += 1
            self._first_unnumbered = self._first_unnumbered or (line, cell_)

    def _judge(self) -> None:
        self._is_over = True
        if self._first_unnumbered and self._n_unnumbered > _HALF * self._n_tokens:
            line, text = self._first_unnumbered
            self._say(
                line,
                f"found {cell(text, _SHOWN)!r} in column {self._layout.index_column}, expected the number of the token,"
                f" as in the training file: column {self._layout.columns['token']} may not hold the tokens; name it,"
                " as in --columns token=0",
            )
            return
        one_line_each = self._n_sentences == self._n_tokens
        if self._first_wide and self._n_wide > _HALF * self._n_tokens and (one_line_each or len(self._widths) > 2):
            line, text = self._first_wide
            self._say(
                line,
                f"this looks like raw text ({cell(text, _SHOWN)}), expected one token on each line; pass --text, or"
                " put each token on a line of its own, and a blank line after each sentence",
            )
            return
        if self._first_blank:
            line, token = self._first_blank
            self._say(
                line,
                f"{self._n_blank} of the first {counted(self._n_tokens, 'line')} hold blanks but no TAB, such as"
                f" {cell(token, _SHOWN)!r}: each is read as one token, because only TABs separate columns; if spaces"
                " do, pass --delimiter auto",
            )
        elif self._n_tokens >= _FEWEST_UNKNOWN and self._n_unknown > _HALF * self._n_tokens:
            self._say(
                0,
                f"{self._n_unknown} of the first {self._n_tokens} tokens are not in the model's vocabulary, expected"
                " fewer than half; check that the language is the model's, and that --columns names the token column",
            )

    def _say(self, line: int, text: str) -> None:
        self._warn(f"{self._path}{f':{line}' if line else ''}: {text}")
