"""`tuningfork compare`: every setting of a comparison as an option, the run, and what it found."""

from pathlib import Path
from typing import Annotated

import typer

from advisor.arms import CANDIDATES, DEFAULT_PIPELINES
from advisor.decision.constraints import Constraints
from advisor.money.cost import Traffic
from advisor.results.answer_values import AnswerValues
from lm.errors import ConfigError
from lm.weights.embedded_model import EMBEDDED_MODEL
from service.cli.options import DatasetArgument, Home, TaskOption
from service.cli.terminal import plain_console, show
from service.run.settings import ComparisonSettings, Constrain, TuneOn
from service.store.data_directory import DataDirectory

_OUT = plain_console()


def compare(
    dataset: DatasetArgument,
    model: Annotated[
        str,
        typer.Option(help="Model that all arms start from: smollm2, hf:ID_OR_PATH, gguf:PATH, or openai:MODEL[@URL]."),
    ] = EMBEDDED_MODEL,
    pipelines: Annotated[
        str, typer.Option(help=f"Arms to compare, separated by commas, of: {', '.join(CANDIDATES)}.")
    ] = ",".join(DEFAULT_PIPELINES),
    limit: Annotated[
        int | None, typer.Option(help="Most test questions to ask. [default: all]", show_default=False)
    ] = None,
    train_limit: Annotated[
        int | None, typer.Option(help="Most training questions to use. [default: all]", show_default=False)
    ] = None,
    task: TaskOption = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder into which the reports are copied as well.", show_default=False)
    ] = None,
    seed: Annotated[
        int, typer.Option(help="Decides everything drawn by lot: splits, samples, tuning, resampling.")
    ] = 0,
    embedder: Annotated[
        str, typer.Option(help="What finds passages: minilm, hf:ID_OR_PATH, or openai:MODEL[@URL].")
    ] = "minilm",
    top_k: Annotated[int, typer.Option(help="Passages retrieved for a question.")] = 3,
    chunk_tokens: Annotated[int, typer.Option(help="Longest passage, in the embedder's tokens.")] = 128,
    overlap_tokens: Annotated[int, typer.Option(help="Tokens that neighbouring passages share.")] = 0,
    shots: Annotated[int, typer.Option(help="Worked examples in the prompts of the few-shot arms.")] = 6,
    method: Annotated[str, typer.Option(help="Tuning method: lora, rslora, dora, pissa or olora.")] = "lora",
    max_epochs: Annotated[
        int | None,
        typer.Option(help="Most passes of tuning. [default: 3; 6 for answers from memory]", show_default=False),
    ] = None,
    tune_on: Annotated[
        TuneOn, typer.Option(metavar="WHAT", help=f"What tuned arms are trained on: {' or '.join(TuneOn)}.")
    ] = TuneOn.QUESTIONS,
    raft_gold_share: Annotated[
        float, typer.Option(help="Share of raft's training questions that get the passage which answers them.")
    ] = 0.8,
    training_seeds: Annotated[
        int,
        typer.Option(help="How often tuned arms are trained; the spread over the seeds is part of their intervals."),
    ] = 1,
    race: Annotated[
        bool,
        typer.Option("--race", help="Ask in blocks, and stop asking an arm once it is surely worse than another."),
    ] = False,
    batch_size: Annotated[int, typer.Option(help="Questions answered at a time, the same for all arms.")] = 64,
    constrain: Annotated[
        Constrain,
        typer.Option(
            metavar="WHEN",
            help="Hold every arm's answers to the data set's labels or JSON schema, where it has them: auto or off.",
        ),
    ] = Constrain.AUTO,
    margin: Annotated[float, typer.Option(help="Smallest difference that matters to you; 0.02 is two points.")] = 0.02,
    coverage: Annotated[
        float, typer.Option(help="Share of your users' questions whose fact the training questions cover.")
    ] = 0.5,
    judge: Annotated[
        str | None,
        typer.Option(
            help="Model that grades answers, for metrics that need one; named as for --model.", show_default=False
        ),
    ] = None,
    prices: Annotated[
        Path | None, typer.Option(help="Price file. [default: the one that ships]", show_default=False)
    ] = None,
    queries_per_month: Annotated[float, typer.Option(help="Questions you expect a month, for the costs.")] = 10_000,
    refreshes_per_month: Annotated[
        float, typer.Option(help="How often a month documents change enough to build again, for the costs.")
    ] = 1.0,
    retrainings_per_month: Annotated[
        float | None,
        typer.Option(
            help="How often a month tuned arms are trained anew. [default: as often as documents change]",
            show_default=False,
        ),
    ] = None,
    merge_adapter: Annotated[
        bool, typer.Option("--merge-adapter", help="Cost tuned arms with the adapter merged into the weights.")
    ] = False,
    adapter_slowdown: Annotated[
        float, typer.Option(help="How many times longer a tuned arm takes unmerged than merged, if you measured it.")
    ] = 1.0,
    must_cite_sources: Annotated[
        bool, typer.Option("--must-cite-sources", help="Only arms whose answers come with passages may be shipped.")
    ] = False,
    max_p95_latency_s: Annotated[
        float | None,
        typer.Option(help="Longest wait of 19 in 20 callers, in seconds. [default: any]", show_default=False),
    ] = None,
    monthly_budget_usd: Annotated[
        float | None,
        typer.Option(help="Most that an arm may cost a month, in US dollars. [default: any]", show_default=False),
    ] = None,
    no_gpu_in_serving: Annotated[
        bool, typer.Option("--no-gpu-in-serving", help="Only arms that answer without a GPU may be shipped.")
    ] = False,
    facts_must_be_deletable: Annotated[
        bool, typer.Option("--facts-must-be-deletable", help="Only arms that hold no facts in weights may be shipped.")
    ] = False,
    min_abstention_recall: Annotated[
        float | None,
        typer.Option(
            help="Least share of unanswerable questions an arm must decline. [default: any]", show_default=False
        ),
    ] = None,
    good_enough: Annotated[
        float | None,
        typer.Option(
            help="Least score by the deciding metric, from 0 to 1, at which an arm is ready to ship. [default: any]",
            show_default=False,
        ),
    ] = None,
    right_answer_usd: Annotated[
        float | None,
        typer.Option(
            help="What a right answer brings you; arms are then compared by net value. [default: by score]",
            show_default=False,
        ),
    ] = None,
    wrong_answer_usd: Annotated[float, typer.Option(help="What a wrong answer costs you.")] = 0.0,
    abstention_usd: Annotated[
        float, typer.Option(help='What an "I don\'t know" costs you where an answer exists.')
    ] = 0.0,
    prior: Annotated[
        Path | None,
        typer.Option(help="Answers to `tuningfork advise`, to set beside the evidence.", show_default=False),
    ] = None,
    valid_days: Annotated[
        int, typer.Option(help="Days until the decision on file wants a new look; see `tuningfork recheck`.")
    ] = 90,
    trust_remote_code: Annotated[
        bool, typer.Option("--trust-remote-code", help="Run Python code that comes with a model.")
    ] = False,
    home: Home = None,
) -> None:
    """Build all arms, ask them the same questions, and decide.

    If interrupted, run the same command to resume. Once finished, it shows the result again. While a service works in
    the data directory, the service runs the comparison.
    """
    settings = ComparisonSettings(
        dataset=dataset,
        task=task,
        model=model,
        pipelines=tuple(name.strip() for name in pipelines.split(",") if name.strip()),
        seed=seed,
        limit=limit,
        train_limit=train_limit,
        embedder=embedder,
        top_k=top_k,
        chunk_tokens=chunk_tokens,
        overlap_tokens=overlap_tokens,
        n_shots=shots,
        method=method,
        max_epochs=max_epochs,
        tune_on=tune_on,
        raft_gold_share=raft_gold_share,
        training_seeds=training_seeds,
        race=race,
        batch_size=batch_size,
        constrain=constrain,
        margin=margin,
        coverage=coverage,
        judge=judge,
        prices=prices,
        traffic=Traffic(
            queries_per_month,
            refreshes_per_month,
            retrainings_per_month=retrainings_per_month,
            merge_adapter=merge_adapter,
        ),
        adapter_slowdown=adapter_slowdown,
        constraints=Constraints(
            must_cite_sources,
            max_p95_latency_s,
            monthly_budget_usd,
            no_gpu_in_serving,
            facts_must_be_deletable,
            min_abstention_recall,
            good_enough,
        ),
        values=_answer_values(right_answer_usd, wrong_answer_usd, abstention_usd),
        prior=prior,
        valid_days=valid_days,
        trust_remote_code=trust_remote_code,
    )
    directory = DataDirectory.from_environment(home)
    if out is not None:
        _make_folder(out)
    from advisor.report.arms import pivot_arm
    from advisor.report.formats import REPORT_FILES
    from lm.model_identity import model_identity
    from service.cli.console import print_comparison, progress_bars
    from service.jobs.command_run import run_command
    from service.run.asking import read_finished
    from service.run.composition import LocalComposition

    with progress_bars(_OUT) as on_progress:
        folder = run_command(settings, directory, LocalComposition, model_identity, on_progress=on_progress, tell=show)
    comparison = read_finished(directory, folder.name).comparison
    print_comparison(_OUT, comparison)
    if out is not None:
        for path in folder.iterdir():
            (out / path.name).write_bytes(path.read_bytes())
    arm = pivot_arm(comparison) or settings.pipelines[0]
    _OUT.print()
    _OUT.print(f"Report: {(out or folder) / REPORT_FILES['html']}", soft_wrap=True)
    _OUT.print(f'Ask:    tuningfork ask {comparison.id} --pipeline {arm} "your question"', soft_wrap=True)


def _answer_values(right_usd: float | None, wrong_usd: float, abstention_usd: float) -> AnswerValues | None:
    if right_usd is not None:
        return AnswerValues(right_usd, wrong_usd, abstention_usd)
    if wrong_usd or abstention_usd:
        raise ConfigError("the worth of a right answer is missing; add --right-answer-usd (0 is allowed)")
    return None


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"the reports cannot be copied to {out}: {error.strerror}; choose another --out") from None
