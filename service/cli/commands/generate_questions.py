"""`tuningfork generate-questions` and `anchor-questions`: datasets where questions or their documents are missing."""

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from lm.weights.embedded_model import EMBEDDED_MODEL
from service.cli.options import DatasetArgument
from service.cli.terminal import show


def generate_questions(
    documents: Annotated[
        str,
        typer.Argument(
            metavar="DOCUMENTS",
            help="Folder of documents, a dataset, or the name of a bundled one.",
            show_default=False,
        ),
    ],
    destination: Annotated[
        Path, typer.Argument(metavar="DESTINATION", help="New folder for the dataset.", show_default=False)
    ],
    model: Annotated[
        str,
        typer.Option(metavar="MODEL", help="Model that writes: smollm2, hf:ID_OR_PATH, gguf:PATH, openai:MODEL."),
    ] = EMBEDDED_MODEL,
    facts: Annotated[int, typer.Option(min=1, max=100_000, help="Facts to ask about.")] = 100,
    rewordings: Annotated[int, typer.Option(min=0, max=5, help="Other wordings of each question.")] = 1,
    unanswerable: Annotated[
        float, typer.Option(min=0, max=0.5, help="Share of facts taken out of the documents, so that nothing answers.")
    ] = 0.1,
    joint: Annotated[float, typer.Option(min=0, max=1, help="Questions on two documents, as a share of facts.")] = 0.1,
    embedder: Annotated[
        str, typer.Option(metavar="EMBEDDER", help="Embedder that must find a question's passage.")
    ] = "minilm",
    seed: Annotated[int, typer.Option(min=0, help="Of the order in which passages are asked about.")] = 0,
) -> None:
    """Let a model write questions from documents.

    Those that pass every check are kept.

    Kept are questions whose answer is a span of its passage, whose passage retrieval finds, and which the model answers
    alike when it is shown the passage. They are marked as made by a model, in reports as well: read them before use.
    """
    from service.run.composition import LoadedParts
    from service.run.composition.question_making import Wanted, make_dataset
    from service.run.settings import ComparisonSettings

    settings = ComparisonSettings(documents, model=model, embedder=embedder)
    parts = LoadedParts(settings)
    wanted = Wanted(facts, rewordings, unanswerable, joint, seed)
    making = make_dataset(
        settings.dataset_folder,
        destination.expanduser(),
        parts.model(settings.model),
        parts.embedder(),
        wanted,
        on_progress=lambda n_kept, n_wanted: show(f"Facts: {n_kept} of {n_wanted}."),
    )
    for file in making.files:
        show(str(file))
    made = making.made
    kinds = Counter(
        "unanswerable" if not one.answers else "on two documents" if len(one.passages) > 1 else "answerable"
        for one in made.questions
    )
    show(f"Questions: {', '.join(f'{n} {kind}' for kind, n in sorted(kinds.items()))}; asked for {made.n_asked}.")
    for why, n in sorted(made.dropped.items(), key=lambda one: -one[1]):
        if n:
            show(f"  dropped {n}: {why}")
    show(f"Written: {destination}. Read the questions, then: tuningfork validate {destination}")


def anchor_questions(
    dataset: DatasetArgument,
    destination: Annotated[
        Path, typer.Argument(metavar="DESTINATION", help="New folder for the dataset.", show_default=False)
    ],
    min_confidence: Annotated[
        float, typer.Option(min=0, max=1, help="Leave a question without a document below this confidence.")
    ] = 0.5,
    embedder: Annotated[str, typer.Option(metavar="EMBEDDER", help="Embedder that finds passages.")] = "minilm",
) -> None:
    """Find the document of each question that names none.

    It is the one whose passage holds the answer and fits best.

    Recall, resampling by document and the oracle reference need documents. Look at the list of what stays unsure.
    """
    from service.run.composition import LoadedParts
    from service.run.composition.question_making import anchor_dataset
    from service.run.settings import ComparisonSettings

    settings = ComparisonSettings(dataset, embedder=embedder)
    anchors = anchor_dataset(
        settings.dataset_folder, destination.expanduser(), LoadedParts(settings).embedder(), min_confidence
    )
    unsure = [anchor for anchor in anchors if anchor.confidence < min_confidence]
    show(f"Questions without a document: {len(anchors)}; named now: {len(anchors) - len(unsure)}.")
    for anchor in unsure:
        show(f"  {anchor.example_id}: perhaps {anchor.document_id} (confidence {anchor.confidence:.2f})")
    show(f"Written: {destination}.")
