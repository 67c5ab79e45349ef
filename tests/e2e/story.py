"""The small data of the page's tests: a lamp maker's handbook, and a dataset in which every text is an attack."""

import csv
import io
import json

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


ATTACKS = (
    "<script>window.ran = 1</script>",
    "</script><script>window.ran = 1</script>",
    "<img src=x onerror='window.ran = 1'>",
    "<svg/onload=window.ran=1>",
    "<iframe srcdoc='<script>parent.ran = 1</script>'></iframe>",
    "<a href='javascript:window.ran=1'>press</a>",
    "\"><input autofocus onfocus='window.ran = 1'>",
    "<style>* { display: none }</style>",
    "</textarea></pre></td><b>out</b>",
    "[press](javascript:window.ran=1)",
    "[press](https://stranger.example/link)",
    "![seen](https://stranger.example/seen.png)",
    "<https://stranger.example/angle>",
    "https://stranger.example/bare and www.stranger.example",
    "mail me@stranger.example",
    ":red[red] :material/home: :smile: :red-background[x] :streamlit:",
    "$\\href{javascript:window.ran=1}{x}$ and $$x^2$$",
    "&lt;script&gt;window.ran = 1&lt;/script&gt; &#60;img src=x onerror=window.ran=1&#62;",
    "{{ 7 * 7 }} ${7 * 7} <%= 7 * 7 %>",
    '=HYPERLINK("https://stranger.example")',
    "# heading\n- list\n> quote\n```\ncode",
    "| a | b |\n|---|---|\n| `c` | **d** |",
    "safe \u202egnp.exe\u202c name",
    "zero\u200bwidth\u2060and\ufeffmark",
)
SCRIPTS = (
    "မြန်မာဘာသာဖြင့် မေးခွန်း",
    "سؤال باللغة العربية ١٢٣",
    "Emoji 👩🏽‍🔬🏳️‍🌈 and flags 🇲🇲",
)


def attack_answer(text: str) -> str:
    """The right answer to the question of an attack: it has the attack in it, and who echoes the question is wrong."""
    return f"{text} indeed"


def attack_files() -> dict[str, bytes]:
    """A dataset whose name, titles, texts, questions and answers are attacks, and writing of several scripts."""
    texts = (*ATTACKS, *SCRIPTS)
    documents = [
        {"id": f"d{i}", "title": text, "text": f"{attack_answer(text)}, says document {i}."}
        for i, text in enumerate(texts)
    ]
    questions = [
        {
            "id": f"q{i}",
            "question": f"{text}?",
            "answers": [attack_answer(text)],
            "document_ids": [f"d{i}"],
            "group": text,
        }
        for i, text in enumerate(texts)
    ]
    # A dataset needs something to learn from; the rest is asked.
    rows = [{**row, "split": "train" if i % 8 == 7 else "test"} for i, row in enumerate(questions)]
    # Names of datasets are kept from the worst by the service; what it lets through is still Markdown.
    card = {
        "name": "__b__ $x^2$ [a](b) `c` မြန်မာ 🧪",
        "task": "question-answering",
        "language": "en",
        "licence": "CC0-1.0",
        "description": " ".join(ATTACKS[:12]),
    }
    return {
        "documents.jsonl": _lines(documents),
        "questions.jsonl": _lines(rows),
        "dataset.toml": "".join(
            f"{key} = {json.dumps(said, ensure_ascii=False)}\n" for key, said in card.items()
        ).encode(),
    }


def _lines(rows: list[dict[str, object]]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
