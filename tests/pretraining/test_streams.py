"""Check that the windows of both branches follow each other and cover the text from both ends."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tagger.pretraining.streams import Streams


def test_both_branches_read_all_windows_from_their_ends() -> None:
    text = np.arange(100, 121, dtype=np.uint32)  # 2 streams of 10, windows of 3 steps: 9 steps
    streams = Streams(text, 2, 3, seed=1)
    assert (streams.n_windows, streams.n_tokens) == (3, 6)
    windows = [streams.window(0, i) for i in range(3)]
    assert windows[0].forward.T.tolist() == [[100, 101, 102, 103], [110, 111, 112, 113]]
    assert windows[0].backward.T.tolist() == [[109, 108, 107, 106], [119, 118, 117, 116]]
    for side in ("forward", "backward"):
        read = np.concatenate([getattr(window, side)[:-1] for window in windows])
        assert len(set(read.ravel().tolist())) == 18
        for before, after in itertools.pairwise(windows):
            assert (getattr(before, side)[-1] == getattr(after, side)[0]).all()


def test_each_epoch_begins_elsewhere_and_reads_the_text_as_a_circle() -> None:
    text = np.arange(1000, dtype=np.uint32)
    begins = {
        (seed, epoch): int(Streams(text, 4, 5, seed).window(epoch, 0).forward[0, 0])
        for seed in (1, 2)
        for epoch in (1, 2)
    }
    assert len(set(begins.values())) == 4
    streams = Streams(text, 4, 5, 1)
    read = np.concatenate([streams.window(1, i).forward[:-1] for i in range(streams.n_windows)])  # [245, 4]
    assert (np.diff(read[:, 0]) == 1).all()
    assert (np.diff(read[:, 3]) % 1000 == 1).all()
    assert len(set(read.ravel().tolist())) == 4 * 245


def test_a_text_without_a_window_is_refused() -> None:
    with pytest.raises(ValueError, match=r"found 7 tokens, expected at least 8: 2 streams of 4"):
        Streams(np.zeros(7, np.uint32), 2, 3, 1)
