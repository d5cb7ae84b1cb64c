"""Several languages in the same voices, so that neither voice nor synthesiser gives a language away.

One synthesiser speaks what espeak-ng (inside `piper-tts`) or, of English, the packaged lexicon spells: each language
has a matrix of its own, five slots of ten words (the form of the matrix sentence tests, Kollmeier et al. 2015).
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator

import numpy as np

from speechbase.corpus import text
from speechbase.corpus.settings import Sentences
from speechbase.files import UserError, did_you_mean, install, seed_of
from speechbase.settings import checked

PREFIX = "languages_"  # of the tables' splits: languages_train, ...
MATRICES = {
    "en": text.MATRIX,
    "es": (
        ["marta", "pedro", "lucía", "carlos", "elena", "javier", "rosa", "miguel", "teresa", "andrés"],
        ["compró", "vendió", "pintó", "perdió", "lavó", "tiene", "quiere", "busca", "mira", "guarda"],
        ["dos", "tres", "cuatro", "cinco", "seis", "siete", "ocho", "nueve", "diez", "doce"],
        ["mesas", "libros", "sillas", "cajas", "flores", "barcos", "platos", "guantes", "zapatos", "anillos"],
        ["grandes", "verdes", "azules", "fuertes", "suaves", "simples", "enormes", "tristes", "alegres", "breves"],
    ),
    "pt": (
        ["joão", "maria", "pedro", "ana", "carlos", "helena", "paulo", "luísa", "tiago", "rita"],
        ["comprou", "vendeu", "pintou", "perdeu", "lavou", "tem", "quer", "procura", "guarda", "trouxe"],
        ["três", "quatro", "cinco", "seis", "sete", "oito", "nove", "dez", "doze", "vinte"],
        ["mesas", "livros", "cadeiras", "caixas", "flores", "barcos", "pratos", "luvas", "sapatos", "janelas"],
        ["grandes", "verdes", "azuis", "fortes", "leves", "simples", "enormes", "tristes", "alegres", "breves"],
    ),
    "it": (
        ["paolo", "anna", "marco", "sofia", "luca", "giulia", "chiara", "andrea", "matteo", "sara"],
        ["compra", "vende", "vuole", "cerca", "prende", "manda", "porta", "trova", "vede", "lava"],
        ["due", "tre", "quattro", "cinque", "sei", "sette", "otto", "nove", "dieci", "venti"],
        ["tavoli", "libri", "fiori", "pietre", "bottiglie", "scatole", "palle", "porte", "matite", "tazze"],
        ["grandi", "verdi", "utili", "forti", "pesanti", "semplici", "nobili", "normali", "eleganti", "brillanti"],
    ),
    "ja": (  # in kana, particles as they are spoken
        ["たなかわ", "すずきわ", "やまだわ", "さとうわ", "きむらわ",
         "はなこわ", "たろうわ", "ゆきこわ", "けんじわ", "まりこわ"],
        ["あおい", "あかい", "しろい", "くろい", "おおきい", "ちいさい", "ふるい", "あたらしい", "やすい", "たかい"],
        ["いすお", "つくえお", "かさお", "ほんお", "はこお",
         "くつお", "ぼうしお", "とけいお", "かばんお", "てがみお"],
        ["ふたつ", "みっつ", "よっつ", "いつつ", "むっつ", "ななつ", "やっつ", "ここのつ", "たくさん", "すこし"],
        ["かいました", "うりました", "みました", "もらいました", "なくしました",
         "さがします", "つかいます", "あげました", "あらいました", "ぬりました"],
    ),
}  # fmt: skip
ESPEAK = {"es": "es-419", "pt": "pt-br", "it": "it", "ja": "ja"}
# Affricates are one sign to the synthesiser. Of Japanese it has learned the tap, the closing nasal and the stop of a
# double consonant in signs that are not espeak-ng's. Diacritics that it does not know fall away.
SIGNS = {"tʃ": "ʧ", "dʒ": "ʤ", "tɕ": "ʨ", "dʑ": "ʥ", "ts": "ʦ", "dz": "ʣ"}
OWN_SIGNS = {"ja": {"u\u0303": "ɴ", "ɽi": "ɾʲi", "ɽ": "ɾ", "ᵝ": "", "tʦ": "ʔʦ"}}
LETTERS = set("ˈˌːʰʲ̃ .,;:!?")


def check(names: Iterable[str]) -> None:
    """Raises: UserError: a language that has no matrix here."""
    for name in names:
        if name not in MATRICES:
            raise UserError(f"corpus.languages.spoken: there is no language {name!r}{did_you_mean(name, MATRICES)}.")


def sentences(language: str, config: dict, split: str, count: int, seed: int) -> list[str]:
    """Draw `count` different sentences of one language and split; `config` is corpus.text, for its shares."""
    how = checked(Sentences, config, "corpus.text")
    rng = np.random.default_rng(seed_of(seed, "languages", language, split))
    return text.distinct(_stream(MATRICES[language], rng), how, split, count)


def _stream(matrix, rng: np.random.Generator) -> Iterator[str]:
    while True:
        yield " ".join(slot[rng.integers(len(slot))] for slot in matrix)


def phonemes(said: str, language: str) -> str:
    """A text of one language in the synthesiser's signs.

    Raises:
        UserError: an unknown language, or piper-tts is missing.
    """
    check([language])
    if language == "en":
        from speechbase.corpus.phones import hibari

        return " ".join(hibari().phonemize(said[0].upper() + said[1:] + "."))
    spelled = "".join(sign for clause in _espeak().phonemize(ESPEAK[language], said + ".") for sign in clause)
    for pair, sign in (SIGNS | OWN_SIGNS.get(language, {})).items():
        spelled = spelled.replace(pair, sign)
    return spelled


def sounds(spelled: str) -> int:
    """How many phonemes a spelled text has: what speaking rates are reckoned by."""
    return sum(sign.isalpha() and sign not in LETTERS for sign in spelled)


@functools.cache
def _espeak():
    try:
        from piper.phonemize_espeak import EspeakPhonemizer
    except ImportError:
        raise UserError(f"Phonemes of other languages need the package piper-tts: {install('speak')}.") from None
    return EspeakPhonemizer()
