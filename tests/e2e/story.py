"""The small data of the page's tests: a lamp maker's handbook, and a data set in which every text is an attack."""

import csv
import io

_LAMPS = ("Alder", "Birch", "Cedar", "Elm", "Fir", "Hazel", "Juniper", "Larch", "Maple", "Oak", "Pine", "Willow")
_FACTS = (
    ("warranty", "The warranty of the {lamp} is {value}.", "How long is the warranty of the {lamp}?", "{n} months"),
    ("weight", "The {lamp} weighs {value}.", "How much does the {lamp} weigh?", "{n} grams"),
    ("price", "The {lamp} costs {value}.", "What is the price of the {lamp}?", "{n} euros"),
    ("height", "The {lamp} is {value} tall.", "How tall is the {lamp}?", "{n} cm"),
    ("power", "The {lamp} draws {value}.", "What power does the {lamp} draw?", "{n} watts"),
)
_SPLIT_OF_FACT = {"price": "train", "power": "validation"}
_N_UNANSWERABLE = 6


def lamp_files() -> dict[str, bytes]:
    """Twelve texts and one table of 66 questions, as a user keeps them: 42 test questions on twelve documents."""
    files, rows = {}, []
    for i, name in enumerate(_LAMPS):
        lamp, sentences = f"{name} lamp", []
        for j, (fact, sentence, question, value) in enumerate(_FACTS):
            answer = value.format(n=12 + 7 * i + 11 * j)
            sentences.append(sentence.format(lamp=lamp, value=answer))
            split = _SPLIT_OF_FACT.get(fact, "test")
            rows.append((question.format(lamp=lamp), answer, name.lower(), f"{name.lower()}-{fact}", split, "yes"))
        files[f"{name.lower()}.md"] = f"# {lamp}\n\n{' '.join(sentences)}\n".encode()
    for name in _LAMPS[:_N_UNANSWERABLE]:
        rows.append((f"Who designed the {name} lamp?", "", "", f"{name.lower()}-designer", "test", "no"))
    return {**files, "questions.csv": _table(rows)}


def _table(rows: list[tuple[str, str, str, str, str, str]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(("question", "answer", "document", "group", "split", "answerable"))
    writer.writerows(rows)
    return text.getvalue().encode()
