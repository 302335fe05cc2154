"""The settings that must stay as they are when a training is resumed."""

from __future__ import annotations

from tagger.training.settings import differences


def test_a_setting_that_was_not_stored_is_shown_with_its_default() -> None:
    assert list(differences({"features.ignore_case": True, "model.units": 5}, {"model.units": 5})) == [
        "features.ignore_case: found false, expected true, as in the training so far"
    ]
    assert list(differences({}, {"features.cluster_bits": [1, 2]})) == [
        "features.cluster_bits: found [1, 2], expected [4, 6, 10, 20], as in the training so far"
    ]
    assert list(differences({"data.dev": "a file"}, {})) == [
        "data.dev: found null, expected a file, as in the training so far"
    ]
