"""Questions of everyday knowledge, written for this project, that a model should not forget by being tuned.

Too easy to tell models apart, and meant to be: each model is compared with itself before tuning alone.
"""

from collections.abc import Sequence

from advisor.data.dataset import Example, Split
from advisor.metrics.text import contains_answer
from advisor.results.answer import Answer

INSTRUCTION = "Answer the question in a few words."
MAX_OUTPUT_TOKENS = 24

_QUESTIONS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("What is the capital of France?", ("Paris",)),
    ("What is the capital of Japan?", ("Tokyo",)),
    ("What is the capital of Italy?", ("Rome",)),
    ("How many days are in a week?", ("7", "seven")),
    ("How many months are in a year?", ("12", "twelve")),
    ("How many minutes are in an hour?", ("60", "sixty")),
    ("What is two plus three?", ("5", "five")),
    ("What is ten minus four?", ("6", "six")),
    ("What is three times three?", ("9", "nine")),
    ("Which day comes after Monday?", ("Tuesday",)),
    ("Which month comes before April?", ("March",)),
    ("What is the opposite of hot?", ("cold",)),
    ("What is the opposite of up?", ("down",)),
    ("What colour is grass?", ("green",)),
    ("What colour do you get from blue and yellow paint?", ("green",)),
    ("Which animal barks?", ("dog", "dogs")),
    ("Which animal gives us wool?", ("sheep",)),
    ("How many legs has a spider?", ("8", "eight")),
    ("What do bees make?", ("honey",)),
    ("What is frozen water called?", ("ice",)),
    ("Which star does the Earth go round?", ("Sun",)),
    ("Which planet do we live on?", ("Earth",)),
    ("Which language is spoken in Brazil?", ("Portuguese",)),
    ("On which continent is Egypt?", ("Africa",)),
    ("Who wrote Romeo and Juliet?", ("Shakespeare",)),
    ("What is the plural of mouse, the animal?", ("mice",)),
    ("What is the past tense of go?", ("went",)),
    ("Which letter comes after A in the alphabet?", ("B",)),
    ("What do we call a shape with three sides?", ("triangle",)),
    ("Which is heavier, an elephant or a cat?", ("elephant",)),
)

GENERAL_QUESTIONS = tuple(
    Example(f"general-{i}", question, answers, (), f"general-{i}", Split.TEST)
    for i, (question, answers) in enumerate(_QUESTIONS)
)


def right_answers(answers: Sequence[Answer]) -> list[bool]:
    """Whether each of the answers, in the order of `GENERAL_QUESTIONS`, holds an accepted one."""
    return [contains_answer(e, answer).value == 1 for e, answer in zip(GENERAL_QUESTIONS, answers, strict=True)]
