"""Suggestions of the encodings that a file may have."""

from __future__ import annotations

import pytest

from tagger.corpus.encodings import suggest_encodings


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Zürich und Köln sind schöne Städte, überall wächst grünes Gras für müde Füße", "cp1252"),
        ("日本の首都は東京です。私たちは昨日、大阪から京都まで電車で行きました。", "euc_jp"),
        ("日本の首都は東京です。私たちは昨日、大阪から京都まで電車で行きました。", "shift_jis"),
        ("中文 北京 是 中国 的 首都 我们 喜欢", "gb18030"),
        ("Москва столица России и самый большой город страны", "cp1251"),
        ("Gęś żółć jaźń dąb ćma świt łódź", "cp1250"),
    ],
)
def test_the_right_encoding_is_suggested(text: str, encoding: str) -> None:
    found = suggest_encodings(text.encode(encoding))
    assert encoding in found
    assert "utf-8" not in found
    assert suggest_encodings(text.encode()) == ["utf-8"]
