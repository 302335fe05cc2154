"""Suggestions of the encodings that a file may have."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from checked_files import check
from helpers import run_tagger
from stub_model import stub_model

from tagger.corpus.encodings import suggest_encodings, suggest_readings, wrong_byte

TEXTS = {
    "German": (
        "cp1252 cp850 mac_roman",
        "Zürich und Köln sind schöne Städte, überall wächst grünes Gras für müde Füße",
    ),
    "Spanish": ("cp1252 cp850 mac_roman", "El señor Núñez llegó a Logroño. ¿Qué día viajó su compañera a Málaga?"),
    "French": ("cp1252 cp850 mac_roman", "L'été dernier, une élève française a passé là où la forêt était très âgée"),
    "Portuguese": ("cp1252 cp850 mac_roman", "A população não está em São Paulo, mas a situação é difícil para você"),
    "Italian": (
        "cp1252 cp850 mac_roman",
        "La città è più bella perché c'è il papà, e lunedì arriverà però anche la virtù",
    ),
    "Catalan": ("cp1252", "Això és una història en català, però també hi ha una lliçó molt útil i ràpida"),
    "Swedish": ("cp1252 cp850 mac_roman", "På sjön låg en båt när våren kom till Ångermanland och Öland"),
    "Danish": ("cp1252 cp850 mac_roman", "Blåbær og rødgrød på et fad i København, og så kørte vi hjem på søndag"),
    "Icelandic": ("cp1252", "Í gær fór ég að sjá Þingvelli með ömmu minni og það var gaman"),
    "Polish": ("cp1250 iso8859_2", "Gęś żółć jaźń dąb ćma świt łódź; Łukasz powiedział, że Gdańsk jest piękny"),
    "Czech": ("cp1250 iso8859_2", "Příliš žluťoučký kůň úpěl ďábelské ódy, řekl Jiří ze Žďáru"),
    "Slovak": ("cp1250 iso8859_2", "Ľubomír kúpil v Košiciach čerstvý chlieb, ktorý mal veľmi dobrú vôňu"),
    "Hungarian": ("cp1250 iso8859_2", "Árvíztűrő tükörfúrógép, a fiú őszintén örült a hűvös időnek Győrben"),
    "Croatian": ("cp1250 iso8859_2", "Čovjek je išao u šumu sa đakom, žurio se kući i šutio"),
    "Romanian": ("cp1250 iso8859_2", "Şcoala şi viaţa în oraş, ţara mea în iarnă, când fântâna îngheaţă"),
    "Lithuanian": ("cp1257", "Ąžuolas žydėjo, o mūsų mergaitė šoko prie ežero ir džiaugėsi"),
    "Latvian": ("cp1257", "Rīgā dzīvo daudz cilvēku, un viņi mīl jūru, mežu un ķiršus"),
    "Turkish": ("cp1254", "İstanbul'da yaşayan şair, çocuğun ağladığını gördü ve ışığı açtı"),
    "Russian": (
        "cp1251 koi8_r cp866 iso8859_5",
        "Москва столица России и самый большой город страны, сказал вчера Иван",
    ),
    "Ukrainian": ("cp1251 koi8_u", "Київ є столицею України, і його мешканці люблять своє місто над Дніпром"),
    "Bulgarian": ("cp1251", "Сега пролетта дойде в България и хората излизат навън"),
    "Serbian": ("cp1251", "Данас је леп дан у Београду, па деца иду у школу и певају"),
    "Greek": ("cp1253 iso8859_7", "Η Αθήνα είναι η πρωτεύουσα της Ελλάδας και ο κόσμος μιλάει ελληνικά"),
    "Hebrew": ("cp1255", "ירושלים היא עיר הבירה של ישראל והיא עיר גדולה ויפה"),
    "Arabic": ("cp1256", "القاهرة هي عاصمة مصر وهي مدينة كبيرة جدا على ضفاف النيل"),
    "Thai": ("cp874", "กรุงเทพ เป็น เมืองหลวง ของ ประเทศไทย และ มี คน มาก"),
    "Japanese": ("euc_jp shift_jis", "日本の首都は東京です。私たちは昨日、大阪から京都まで電車で行きました。"),
    "Chinese": ("gb18030", "中文 北京 是 中国 的 首都 我们 喜欢 上海 的 天气 , 李明 昨天 去 了 学校"),
    "traditional Chinese": ("big5", "台北 是 台灣 的 首都 我們 喜歡 這個 城市 , 昨天 李明 去 了 學校"),
    "Korean": ("euc_kr", "서울은 대한민국의 수도이며 우리는 어제 부산에서 기차를 타고 왔다"),
}
CASES = [(name, encoding) for name, (encodings, _) in TEXTS.items() for encoding in encodings.split()]


@pytest.mark.parametrize(("name", "encoding"), CASES)
def test_the_likeliest_encoding_reads_the_text_as_it_was_written(name: str, encoding: str) -> None:
    text = TEXTS[name][1]
    found = suggest_encodings(text.encode(encoding))
    assert text.encode(encoding).decode(found[0]) == text
    assert suggest_encodings(text.encode()) == ["utf-8"]


def test_half_of_the_words_are_mostly_enough() -> None:
    wrong = []
    for name, encoding in CASES:
        words = TEXTS[name][1].split(" ")
        for half in (words[: len(words) // 2], words[len(words) // 2 :]):
            sample = "\tO\n".join(half).encode(encoding)
            if sample.decode(suggest_encodings(sample)[0]) != sample.decode(encoding):
                wrong.append((name, encoding))
    assert len(wrong) <= 2, wrong  # of 108


def test_windows_encodings_win_where_others_read_the_same() -> None:
    assert suggest_encodings("El señor Núñez llegó".encode("latin-1"))[0] == "cp1252"
    assert suggest_encodings("Árvíztűrő tükörfúrógép".encode("iso8859_2"))[0] == "cp1250"


def test_each_reading_is_shown_once_with_the_words_in_which_readings_differ() -> None:
    sample = "El O\nseñaló O\nqué O\naño O\nde O\nniño O\naún O\n".encode("latin-1")
    assert suggest_readings(sample)[:2] == [
        ("cp1252", ("señaló", "año", "niño")),
        ("cp1250", ("seńaló", "ańo", "nińo")),
    ]
    readings = [words for _, words in suggest_readings(sample)]
    assert len(set(readings)) == len(readings)


def test_a_long_word_is_cut_and_not_preferred() -> None:
    sample = b"\xf1" * 100 + b"\nma\xf1ana\nni\xf1o\na\xf1o\n"
    assert suggest_readings(sample)[0].words == ("mañana", "niño", "año")
    assert suggest_readings(b"ma\xf1ana" * 100)[0].words == (("mañana" * 100)[:24],)


def test_damaged_utf_8_is_not_another_encoding() -> None:
    assert suggest_encodings("Zürich ".encode() * 100 + b"Z\xfcrich") == []


def test_a_megabyte_is_judged_in_a_few_seconds() -> None:
    sample = " ".join(f"señor{i} Núñez" for i in range(60_000)).encode("latin-1")
    start = time.process_time()
    assert suggest_encodings(sample)[0] == "cp1252"
    assert time.process_time() - start < 5


# --- Messages ---------------------------------------------------------------------------------------------------------

SPANISH = "El DA O\nseñaló VMI O\nNúñez NP B-PER\nLogroño NP B-LOC\n\n".encode("latin-1")


@pytest.fixture
def spanish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = Path("spanish.conll")
    path.write_bytes(SPANISH)
    return path


def test_predict_and_eval_name_their_option_and_show_words(spanish: Path) -> None:
    for command in ("predict", "eval"):
        with stub_model():
            errors = run_tagger(command, spanish).errors.splitlines()
        (at,) = (i for i, line in enumerate(errors) if line.startswith("error: "))
        assert errors[at] == (
            "error: spanish.conll:2: byte 0xF1 at offset 2 of the line is not valid utf-8; name the file's encoding with"
            " --encoding, or fix the line"
        )
        assert errors[at + 1] == "  --encoding cp1252 reads señaló, Núñez, Logroño"
        assert errors[at + 2] == "  --encoding cp1250 reads seńaló, Núńez, Logrońo"


def test_training_names_the_key_of_the_config(spanish: Path) -> None:
    error = wrong_byte(spanish, 2, UnicodeDecodeError("utf-8", b"se\xf1al\xf3", 2, 3, "invalid"))
    assert error.message.endswith("; name the file's encoding with data.encoding, or fix the line")
    assert error.detail[0] == "--set data.encoding=cp1252 reads señaló, Núñez, Logroño"


def test_check_reads_on_in_the_likeliest_encoding_and_shows_words(spanish: Path) -> None:
    report = check(SPANISH)
    assert report.format["encoding"] == "cp1252"
    assert report.sentences[0].tokens == ["El", "señaló", "Núñez", "Logroño"]
    assert report.problems[0].message.startswith(
        "the file is not valid utf-8; it is read here as cp1252, with words such as señaló, Núñez, Logroño"
        " (cp1250 would read seńaló, Núńez, Logrońo"
    )
    assert report.problems[0].message.endswith("; name the encoding with --encoding")


@pytest.mark.corpora
def test_the_spanish_case_is_read_as_it_was_written(corpora: Path) -> None:
    sample = (corpora / "cases" / "3-encoding" / "spanish-latin1.conll").read_bytes()
    first, second, *_ = suggest_readings(sample)
    assert first == ("cp1252", ("señor", "Núñez", "Logroño"))
    assert second == ("cp1250", ("seńor", "Núńez", "Logrońo"))
