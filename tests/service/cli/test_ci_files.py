"""The GitHub action and the GitLab job: what they are made of, and their shell commands as they stand."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
ACTION = yaml.safe_load((ROOT / "ci" / "action.yml").read_text())
GITLAB = yaml.safe_load((ROOT / "ci" / "gitlab.yml").read_text())["tuning-fork"]

STUB = """#!/bin/sh
printf '%s\\n' "$0 $*" "key=$TUNING_FORK_API_KEY" >> "$CALLS"
case "$(basename "$0")" in
  tuningfork) shift; while [ $# -gt 0 ]; do [ "$1" = --out ] && out=$2; shift; done
    [ -n "$NO_REPORT" ] || { mkdir -p "$out"; echo "# the report" > "$out/report.md"; }; exit "$CODE" ;;
  gh) case "$*" in
      *graphql*) printf '%s\n' "$MARKER" > marker; [ -z "$OURS" ] || printf '%s\n' $OURS; exit "${FIND_CODE:-0}" ;;
      *body=@*) for word; do case $word in body=@*) cat "${word#body=@}" > body ;; esac; done; exit "${GH_CODE:-0}" ;;
    esac ;;
esac
"""


def step(name: str) -> dict[str, Any]:
    return next(step for step in ACTION["runs"]["steps"] if step["name"] == name)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A working directory with recording stand-ins of the programs that the commands call."""
    for name in ("bin", "tf/.venv/bin"):
        (tmp_path / name).mkdir(parents=True)
    for path in ("bin/tuningfork", "bin/gh", "bin/make", "bin/curl", "bin/git", "tf/.venv/bin/tuningfork"):
        (tmp_path / path).write_text(STUB)
        (tmp_path / path).chmod(0o755)
    return tmp_path


def bash(place: Path, script: str, **variables: str) -> subprocess.CompletedProcess[str]:
    named = {name: str(place / name) for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "GITHUB_PATH", "CALLS")}
    environment = {"PATH": f"{place / 'bin'}:{os.environ['PATH']}", "CODE": "0", **named, **variables}
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
        cwd=place, env=environment, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def text(place: Path, name: str) -> str:
    path = place / name
    return path.read_text() if path.exists() else ""


@pytest.mark.parametrize(
    ("code", "verdict"), [(0, "pass"), (1, "fail"), (2, "cannot compare"), (137, "cannot compare")]
)
def test_the_gate_step_keeps_the_verdict_for_the_last_step(place: Path, code: int, verdict: str) -> None:
    gate = {"GATE_CONFIG": "my config.toml", "GATE_OUT": "out put", "GATE_API": ""}
    done = bash(place, step("Gate")["run"], CODE=str(code), **gate)
    assert done.returncode == 0, done.stderr
    assert text(place, "GITHUB_OUTPUT") == f"verdict={verdict}\ncode={code}\n"
    assert text(place, "GITHUB_STEP_SUMMARY") == "# the report\n"
    assert "ci my config.toml --out out put\n" in text(place, "CALLS")
    assert bash(place, step("Verdict")["run"], GATE_CODE=str(code)).returncode == code


def test_a_server_is_named_where_there_is_one(place: Path) -> None:
    gate = {"GATE_CONFIG": "c.toml", "GATE_OUT": "out", "GATE_API": "https://tf.example", "TUNING_FORK_API_KEY": "tf_x"}
    assert bash(place, step("Gate")["run"], **gate).returncode == 0
    calls = text(place, "CALLS")
    assert "ci c.toml --out out --api https://tf.example\n" in calls
    assert "key=tf_x" in calls
    assert "tf_x" not in calls.replace("key=tf_x", "")


def test_a_gate_that_wrote_no_report_still_ends_with_its_code(place: Path) -> None:
    done = bash(place, step("Gate")["run"], CODE="2", NO_REPORT="1", GATE_CONFIG="c", GATE_OUT="o", GATE_API="")
    assert done.returncode == 0
    assert "code=2" in text(place, "GITHUB_OUTPUT")


def comment(place: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    (place / "out").mkdir(exist_ok=True)
    (place / "out" / "report.md").write_text("# the report\n")
    given = {"GATE_CONFIG": "c.toml", "GATE_OUT": "out", "PULL_REQUEST": "7", "GH_REPO": "we/ours", **variables}
    return bash(place, step("Comment")["run"], **given)


@pytest.mark.parametrize(
    ("ours", "called", "not_called"),
    [
        ("41", "api --method PATCH repos/we/ours/issues/comments/41 ", "POST"),
        ("41 42", "api --method PATCH repos/we/ours/issues/comments/41 ", "POST"),
        ("", "api --method POST repos/we/ours/issues/7/comments ", "PATCH"),
    ],
)
def test_our_own_comment_is_renewed_or_a_new_one_made(place: Path, ours: str, called: str, not_called: str) -> None:
    done = comment(place, OURS=ours)
    assert done.returncode == 0, done.stderr
    assert called in text(place, "CALLS")
    assert not_called not in text(place, "CALLS")
    marker = text(place, "marker")
    assert re.fullmatch(r"<!-- tuning-fork-gate [0-9a-f]{16} -->\n", marker)
    assert text(place, "body") == f"{marker}# the report\n"


def test_a_comment_is_ours_by_its_author_and_its_mark_and_gates_keep_apart(place: Path) -> None:
    comment(place)
    first = text(place, "marker")
    assert "select(.viewerDidAuthor and (.body | startswith(env.MARKER)))" in text(place, "CALLS")
    assert "--edit-last" not in text(place, "CALLS")
    comment(place, GATE_CONFIG="another.toml")
    assert text(place, "marker") != first


@pytest.mark.parametrize("refused", [{"GH_CODE": "1"}, {"GH_CODE": "1", "FIND_CODE": "1"}])
def test_a_comment_that_is_refused_fails_no_gate(place: Path, refused: dict[str, str]) -> None:
    done = comment(place, **refused)
    assert done.returncode == 0
    assert "::warning::" in done.stdout


def test_the_install_step_sets_up_the_repository_it_came_with(place: Path) -> None:
    done = bash(place, step("Install")["run"], GITHUB_ACTION_PATH="/somewhere/ci")
    assert done.returncode == 0, done.stderr
    assert "--directory /somewhere/ci/.. setup" in text(place, "CALLS")
    assert text(place, "GITHUB_PATH") == "/somewhere/ci/../.venv/bin\n"
    assert (ROOT / "Makefile").read_text().count("\nsetup: ") == 1


def test_no_input_is_pasted_into_a_script() -> None:
    for one in ACTION["runs"]["steps"]:
        assert "${{" not in one["run"], one["name"]
        assert one["shell"] == "bash"


def test_every_input_is_used_and_described() -> None:
    used = (ROOT / "ci" / "action.yml").read_text()
    for name, described in ACTION["inputs"].items():
        assert described["description"]
        assert f"inputs.{name}" in used


def test_the_gitlab_job_ends_with_the_gates_code(place: Path) -> None:
    variables = {"GATE_CONFIG": "c.toml", "GATE_OUT": "out", "GATE_API": "", "TUNING_FORK_FOLDER": str(place / "tf")}
    for code in ("0", "1", "2"):
        assert bash(place, "\n".join(GITLAB["script"]), CODE=code, **variables).returncode == int(code)
    assert "ci c.toml --out out\n" in text(place, "CALLS")
    assert GITLAB["artifacts"]["when"] == "always"


def test_the_gitlab_job_comments_where_it_may(place: Path) -> None:
    script = "\n".join(GITLAB["after_script"])
    (place / "out").mkdir()
    (place / "out" / "report.md").write_text("# the report\n")
    where = {"CI_API_V4_URL": "https://gitlab.example/api/v4", "CI_PROJECT_ID": "3", "CI_MERGE_REQUEST_IID": "9"}
    assert bash(place, script, GATE_OUT="out", GATE_COMMENT_TOKEN="", **where).returncode == 0
    assert text(place, "CALLS") == ""
    assert bash(place, script, GATE_OUT="out", GATE_COMMENT_TOKEN="secret", **where).returncode == 0
    assert "https://gitlab.example/api/v4/projects/3/merge_requests/9/notes" in text(place, "CALLS")
