"""Which script and language a text is in, as far as its letters and commonest words tell."""

import unicodedata
from collections import Counter

MAX_LETTERS = 400
_MAIN_SCRIPT_SHARE = 0.6
_MIN_HITS = 2

STOP_WORDS = {
    "English": "the of and is are was what how which who does do did my for with from this that it you i can a an to "
    "in on or be as by at if when where will has have not",
    "German": "der die das und ist nicht ein eine einen wie was welche welcher mit für von wird kann ich auf den dem "
    "im zu wer wo sich es bei oder",
    "French": "le la les et est une un des du de que quel quelle dans pour avec pas je vous il elle sur au aux qui "
    "comment quelles ce",
    "Spanish": "el la los las y es una un de que qué cómo para con por del cuál no está en se su al quién dónde",
    "Italian": "il lo gli la le è una un di che come per con del della quale non sono si al nel chi dove da",
    "Portuguese": "o os as a e é uma um de que não como para com do da qual em no na se quem onde são",
    "Dutch": "de het een en is niet van hoe voor met wat welke kan ik op te zijn wie waar bij dat",
}
"""Function words; a text is of the language most of them are of."""

_WORDS = {language: frozenset(words.split()) for language, words in STOP_WORDS.items()}
_ONE_SCRIPT = {"HIRAGANA": "CJK", "KATAKANA": "CJK", "IDEOGRAPHIC": "CJK"}


def language_of(text: str) -> str | None:
    """The language of a text in Latin letters, the script of any other; None where too little speaks for one.

    Told apart are the languages of `STOP_WORDS`. Short Latin texts often hold no two of these words.
    """
    script = script_of(text)
    if script != "LATIN":
        return script.capitalize() if script and script != "CJK" else script
    words = _folded(text)
    hits = sorted(((sum(word in known for word in words), name) for name, known in _WORDS.items()), reverse=True)
    (most, language), (second, _) = hits[:2]
    return language if most >= _MIN_HITS and most > second else None


def script_of(text: str) -> str | None:
    """The Unicode script that most of the letters belong to, by the first word of their names; None without one."""
    scripts: Counter[str] = Counter()
    for character in text:
        if unicodedata.category(character)[0] == "L":
            script = unicodedata.name(character, "UNKNOWN").split()[0]
            scripts[_ONE_SCRIPT.get(script, script)] += 1
            if scripts.total() >= MAX_LETTERS:
                break
    if not scripts:
        return None
    ((script, n_letters),) = scripts.most_common(1)
    return script if n_letters >= _MAIN_SCRIPT_SHARE * scripts.total() else None


def content_words(text: str) -> frozenset[str]:
    """The words of a text without the function words of its language (English where that is unclear)."""
    return frozenset(_folded(text)) - function_words(text)


def function_words(text: str) -> frozenset[str]:
    """The function words of a text's language (English where that is unclear)."""
    return _WORDS.get(language_of(text) or "English", frozenset[str]())


def _folded(text: str) -> list[str]:
    kept = "".join(c if unicodedata.category(c)[0] in "LMN" else " " for c in unicodedata.normalize("NFKC", text))
    return kept.casefold().split()
