import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_readme_table_is_that_of_the_committed_run() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = readme.split("<!-- results:begin -->")[1].split("<!-- results:end -->")[0].strip()
    report = ROOT / "docs" / "runs" / "ticket-triage" / "report.json"
    script = ROOT / "benchmarks" / "results_table.py"
    run = subprocess.run([sys.executable, script, report], capture_output=True, text=True, check=True)
    assert shown == run.stdout.strip()
