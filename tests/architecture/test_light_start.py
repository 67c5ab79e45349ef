"""What must not be imported before it is needed: each of these costs a user half a second to five."""

import os
import subprocess
import sys
from pathlib import Path

from service.store.data_directory import DataDirectory

HEAVY = ("torch", "transformers", "pandas", "chromadb", "streamlit", "ragas", "evaluate", "matplotlib", "peft", "ray")
LIST_HEAVY = f"""
import sys
{{statement}}
print("HEAVY", *[name for name in {HEAVY!r} if name in sys.modules])
"""
RUN_COMMANDS = """
from contextlib import suppress
from service.cli.app import main
for command in sys.argv[1:]:
    with suppress(SystemExit):
        main(command.split())
"""


def heavy_after(statement: str, *arguments: str) -> str:
    """Which heavy modules a fresh process has loaded after a statement."""
    program = LIST_HEAVY.format(statement=statement)
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True, encoding="utf-8"
    )
    return done.stdout.splitlines()[-1]


def test_commands_that_run_no_model_import_none(tmp_path: Path) -> None:
    folder = tmp_path / "comparisons" / "x"
    folder.mkdir(parents=True)
    (folder / "report.json").write_text("{}")
    (folder / "report.md").write_text("# Report\n")
    of_home = [f"datasets --home {tmp_path}", f"report latest --home {tmp_path}"]
    assert heavy_after(RUN_COMMANDS, "--help", "models", "validate appliance-support", *of_home) == "HEAVY"


def test_asking_what_a_finished_comparison_found_imports_no_model() -> None:
    modules = "import service.run.composition, service.cli.console, service.run.workflow, service.run.finished.asking"
    identity = "from lm.model_identity import model_identity; model_identity('smollm2')"
    assert heavy_after(f"{modules}; {identity}") == "HEAVY"


def test_the_service_and_its_local_engine_import_no_ray_and_no_model() -> None:
    assert heavy_after("import service.server.serve, service.jobs.local_engine, service.jobs.job_process") == "HEAVY"


def test_a_second_service_is_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    program = """
import sys
from service.cli.app import main
try:
    main(["serve", "--home", sys.argv[1]])
finally:
    print("LOADED", *[name for name in ("fastapi", "sqlalchemy") if name in sys.modules])
"""
    with DataDirectory(tmp_path).lock():
        done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 2
    assert f"another tuningfork process (process {os.getpid()}) works in" in done.stderr
    assert done.stdout.splitlines()[-1] == "LOADED"
