"""Which questions are for training and which for the test, and what the two share."""

from collections import defaultdict
from collections.abc import Sequence

import altair as alt
import pandas as pd

from advisor.data.dataset import Slice, Split
from service.contract.schemas import ExampleItem
from ui.figures import COLOURS, Figure, ink

_SLICES = {
    Slice.SEEN_FACT: "training asks about the same fact",
    Slice.UNSEEN_FACT: "training does not ask about it",
    Slice.UNANSWERABLE: "no document holds the answer",
    Slice.NEW_CASE: "training has no such case",
}


def split_figure(examples: Sequence[ExampleItem]) -> Figure:
    """Questions by split, those of the test by slice."""
    questions: dict[str, int] = defaultdict(int)
    groups: dict[str, set[str]] = defaultdict(set)
    for example in sorted(examples, key=lambda one: (list(Split).index(one.split), list(Slice).index(one.slice))):
        part = f"{example.split} · {example.slice}" if example.split is Split.TEST else str(example.split)
        questions[part] += 1
        groups[part].add(example.group)
    rows = [{"part": part, "questions": n, "facts or cases": len(groups[part])} for part, n in questions.items()]
    told = [f"{part}: {said}" for part, said in _SLICES.items() if f"{Split.TEST} · {part}" in questions]
    caption = f"Questions of each split; those of the test by slice ({'; '.join(told)})."
    return _bars(pd.DataFrame(rows), "part", "questions", caption)


def sharing_figure(examples: Sequence[ExampleItem]) -> Figure:
    """Facts or cases by the splits that ask about them."""
    splits: dict[str, set[Split]] = defaultdict(set)
    for example in examples:
        splits[example.group].add(example.split)
    order = [frozenset(part) for part in ({"train"}, {"train", "validation"}, {"train", "test"}, set(Split))]
    order += [frozenset(part) for part in ({"validation"}, {"validation", "test"}, {"test"})]
    counts = {part: sum(1 for found in splits.values() if found == part) for part in order}
    rows = [
        {"asked in": " and ".join(one for one in Split if one in part), "facts or cases": n}
        for part, n in counts.items()
        if n
    ]
    caption = "Facts or cases (groups) by where they are asked: what is asked in train and test is known from training."
    return _bars(pd.DataFrame(rows), "asked in", "facts or cases", caption)


def sharing_sentence(examples: Sequence[ExampleItem]) -> str:
    """How many test questions tuning could have learnt by heart."""
    trained = {example.group for example in examples if example.split is Split.TRAIN}
    test = [example for example in examples if example.split is Split.TEST]
    shared = sum(example.group in trained for example in test)
    return (
        f"{shared:,} of {len(test):,} test questions ask about a fact or case that training asks about too, "
        f"{len(test) - shared:,} about something new."
    )


def _bars(frame: pd.DataFrame, name: str, value: str, caption: str) -> Figure:
    # Room for the figures at the ends of the bars.
    room = alt.Scale(domain=[0, int(frame[value].max()) * 1.15])
    base = alt.Chart(frame).encode(
        y=alt.Y(f"{name}:N", sort=None, title=None, axis=alt.Axis(labelLimit=260)), x=alt.X(f"{value}:Q", scale=room)
    )
    bars = base.mark_bar(color=COLOURS[0]).encode(tooltip=list(frame.columns))
    figures = base.mark_text(align="left", dx=4, color=ink()).encode(text=alt.Text(f"{value}:Q", format=","))
    return Figure((bars + figures).properties(height=34 * len(frame) + 50), caption, frame)
