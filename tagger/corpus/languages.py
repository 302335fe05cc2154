"""How plausible it is that bytes are text in an encoding, judged by the letters of the languages written in it.

A wrong encoding turns the letters of a language into rare letters, symbols, capitals inside words or a mixture of
scripts. The frequencies are rough: the letters of each language are listed by how common they are, and the rank
decides.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import itertools
import math
import unicodedata
from collections.abc import Mapping

_WESTERN = ("cp1252", "mac_roman", "cp850")
_CENTRAL = ("cp1250", "iso8859_2")
_BALTIC = ("cp1257",)
_CYRILLIC = ("cp1251", "koi8_r", "cp866", "iso8859_5")
_JAPANESE = ("euc_jp", "shift_jis", "cp932")
_KOREAN = ("euc_kr", "cp949")
# Logarithms of probabilities.
_PUNCTUATION_MARK, _SYMBOL, _FOREIGN = -5.0, -8.0, -12.0
_CAPITAL, _CAPITAL_INSIDE, _MIXED_SCRIPTS = -2.5, -4.0, -6.0  # added to those of the letters
_UNUSUAL = -2.0  # added once for an encoding that is not the usual one of its language
_PUNCTUATION = frozenset("“”„‘’‚«»–—…·\u00a0、。，．「」『』・！？（）：；《》ー\u3000")
_SYMBOLS = frozenset("°§€£©®™½²³")


@dataclasses.dataclass(frozen=True)
class _Language:
    """The letters of a language beyond ASCII.

    Attributes:
        encodings: the encodings in which it is written, the usual one first.
        letters: lower-case letters, the commonest first.
        scripts: the first words of the Unicode names of its letters.
        share: the share of its letters that `letters` make up.
        n_others: the number of letters that the rest is spread over.
    """

    encodings: tuple[str, ...]
    letters: str
    scripts: tuple[str, ...] = ("LATIN",)
    share: float = 0.98
    n_others: int = 100

    @functools.cached_property
    def ranked(self) -> Mapping[str, float]:
        """The logarithm of the probability of each letter; that of the n-th is proportional to 1 / (n + 2)."""
        weights = {letter: 1 / (rank + 2) for rank, letter in enumerate(dict.fromkeys(self.letters))}
        total = sum(weights.values())
        return {letter: math.log(self.share * weight / total) for letter, weight in weights.items()}

    def log_probability(self, character: str) -> float:
        lower = character.lower()
        if lower in self.ranked:
            return self.ranked[lower] + (_CAPITAL if lower != character else 0.0)
        if character in _PUNCTUATION:
            return _PUNCTUATION_MARK
        if character in _SYMBOLS:
            return _SYMBOL
        if character.isalpha() and unicodedata.name(character, "").split(" ")[0] in self.scripts:
            return math.log((1 - self.share) / self.n_others)
        return _FOREIGN


_LANGUAGES = (
    _Language(_WESTERN, "’“”‘—–…é£"),  # English
    _Language(_WESTERN, "éàèçêùôîâûëïœÿæ"),  # French
    _Language(_WESTERN, "óáíéñúü¿¡"),  # Spanish
    _Language(_WESTERN, "üäößé"),  # German
    _Language(_WESTERN, "ãçáéíóêõúâôàü"),  # Portuguese
    _Language(_WESTERN, "àèùòéìî"),  # Italian
    _Language(_WESTERN, "àèóéíòçúïü"),  # Catalan
    _Language(_WESTERN, "ëéïèöüóá"),  # Dutch
    _Language(_WESTERN, "äåöé"),  # Swedish, Finnish
    _Language(_WESTERN, "øåæéòóôü"),  # Danish, Norwegian
    _Language(_WESTERN, "ðáíþóæöéúý"),  # Icelandic
    _Language(_WESTERN, "áíéóú"),  # Irish
    _Language(_CENTRAL, "łąęóżśćńź"),  # Polish
    _Language(_CENTRAL, "íáéýěřščžůúňťóď"),  # Czech
    _Language(_CENTRAL, "áíéýčšžúťôľňóďäĺŕ"),  # Slovak
    _Language(_CENTRAL, "áéöóőüíúű"),  # Hungarian
    _Language(_CENTRAL, "čšžćđ"),  # Croatian, Slovene
    _Language(_CENTRAL, "ăîâşţ"),  # Romanian
    _Language(_BALTIC, "ėšųžįąūčę"),  # Lithuanian
    _Language(_BALTIC, "āīēšūņļžķčģ"),  # Latvian
    _Language(_BALTIC, "äõüöšž"),  # Estonian
    _Language(("cp1254",), "ıüşğöçİâîû"),  # Turkish
    _Language(_CYRILLIC, "оеаинтсрвлкмдпуяыьгзбчйхжшюцщэфъё", ("CYRILLIC",)),  # Russian
    _Language((*_CYRILLIC, "koi8_u"), "оанивеіртлксудмпязьгбчйхцжюїєшщфґ", ("CYRILLIC",)),  # Ukrainian
    _Language(_CYRILLIC, "аоеитнрсвлдкпмзъягубчхжцщйшюфь", ("CYRILLIC",)),  # Bulgarian
    _Language(_CYRILLIC, "аоеинрјсутвдкмлпзбгћчцжшњљђџф", ("CYRILLIC",)),  # Serbian
    _Language(("cp1253", "iso8859_7"), "αοιετσνηυρπκμλςωάόίέήύώδγχθφβξζψϊϋΐΰ", ("GREEK",)),
    _Language(("cp1255",), "יוהלארמתבשנעםדקחפכטגצןסזךףץ", ("HEBREW",)),
    _Language(("cp1256",), "اليمنترهودعبفسكقحجشصطخزضةغذىءثأإظؤئآپچگژ", ("ARABIC",)),
    _Language(("cp874",), "านรอกเงมยลวดทสตะปบคหแจพชขใไโผถธซภศณฐ่้ัิีึืุู็์าำ", ("THAI",)),
    _Language(
        _JAPANESE,
        "のにはたをがいでとしるてなれかさっこもすんらありまくきよう日本年月大人国中一上",
        ("HIRAGANA", "KATAKANA", "CJK"),
        share=0.5,
        n_others=2500,
    ),
    _Language(
        ("gb18030",),
        "的一是不了在人有我他这中大来上国个到说们为子和你地出道也时年得就那要下以生会自着去之过家学对可里后小么心多天而能好都然没日于起还发成事只作当想看文无开手用主行方又如前所本见经头面公同三已老从动两长知明北京市",
        ("CJK",),
        share=0.6,
        n_others=4000,
    ),
    _Language(
        ("big5",),
        "的一是不了在人有我他這中大來上國個到說們為子和你地出道也時年得就那要下以生會自著去之過家學對可裡後小麼心多天而能好都然沒日於起還發成事只作當想看文無開手用主行方又如前所本見經頭面公同三已老從動兩長知明北京市",
        ("CJK",),
        share=0.6,
        n_others=4000,
    ),
    _Language(
        _KOREAN,
        "이다는의에을가고하지은한를기로사도어서나인스리아자그들대해있시정부수일과으라여만구전보원주국장상조무제게마거공",
        ("HANGUL",),
        share=0.6,
        n_others=2000,
    ),
)
ENCODINGS = tuple(dict.fromkeys(encoding for language in _LANGUAGES for encoding in language.encodings))


def plausibility(text: str, encoding: str) -> float:
    """Return the logarithm of the probability of text that was decoded from an encoding, in its likeliest language.

    It is comparable between readings of the same bytes. ASCII characters count only where another reading may have
    them as parts of other characters.
    """
    counts = collections.Counter(text)
    n_ascii = sum(n for character, n in counts.items() if character <= "\x7f")
    n_capitals = n_mixed = 0
    for before, after in itertools.pairwise(text):
        if (before > "\x7f" or after > "\x7f") and before.isalpha() and after.isalpha():
            n_capitals += before.islower() and after.isupper()
            n_mixed += (before <= "\x7f") != (after <= "\x7f")
    found = [
        sum(n * language.log_probability(character) for character, n in counts.items() if character > "\x7f")
        + (0.0 if "LATIN" in language.scripts else n_mixed * _MIXED_SCRIPTS)
        + (0.0 if encoding == language.encodings[0] else _UNUSUAL)
        for language in _LANGUAGES
        if encoding in language.encodings
    ]
    return max(found) + n_capitals * _CAPITAL_INSIDE + n_ascii * math.log(1 / 30)
