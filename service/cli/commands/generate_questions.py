"""`tuningfork generate-questions` and `anchor-questions`: datasets where questions or their documents are missing."""

from pathlib import Path
from typing import Annotated

import typer

from advisor.data.files import Problem, problem_list
from advisor.data.folder_import import read_documents_alone
from advisor.errors import DatasetError
from service.cli.options import DatasetArgument
from service.cli.setting_options import takes_group
from service.cli.terminal import show
from service.contract.settings import QuestionSettings


@takes_group(QuestionSettings)
def generate_questions(
    settings: QuestionSettings,
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
) -> None:
    """Let a model write questions from documents.

    Those that pass every check are kept.

    Kept are questions whose answer is a span of its passage, whose passage retrieval finds, and which the model answers
    alike when it is shown the passage. They are marked as made by a model, in reports as well: read them before use.
    The embedded model is too small to write good ones; name a larger one.
    """
    from service.run.composition import LoadedParts
    from service.run.composition.question_making import make_dataset
    from service.run.settings import ComparisonSettings

    loading = ComparisonSettings(documents, model=settings.model, embedder=settings.embedder)
    source = loading.dataset_folder
    problems: list[Problem] = []
    read, files = read_documents_alone(source, problems)
    if problems:
        raise DatasetError(problem_list(f"the documents of {source} cannot be used", problems))
    for file in files:
        show(str(file))
    parts = LoadedParts(loading)
    made = make_dataset(
        read,
        destination.expanduser(),
        parts.model(settings.model),
        parts.embedder(),
        settings,
        name=source.resolve().name,
        on_progress=lambda n_kept, n_wanted: show(f"Facts: {n_kept} of {n_wanted}."),
    )
    kinds = ", ".join(f"{n} {kind}" for kind, n in sorted(made.kinds.items()))
    show(f"Questions: {kinds}; asked for {made.n_asked}.")
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
