"""Known vulnerabilities of what is installed, by pip-audit. Exit codes: 0 none that is reachable, 1 some, 3 not run.

Its database is on the network. Where that is out of reach pip-audit calls each package unknown and ends well; here that
is "not run".
"""

import json
import subprocess
import sys
import sysconfig
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

PIP_AUDIT = "pip-audit==2.10.1"
KNOWN = Path(__file__).with_name("audit.toml")
PATIENCE_S = 600
OURS = "tuning-fork"
CONTROL = "pip==23.2.1\n"


def main() -> int:
    """Audit this interpreter's packages in an environment of pip-audit's own."""
    try:
        # A release with a known finding: whoever finds none has no database, and need not ask for all the others.
        with tempfile.TemporaryDirectory() as folder:
            control = Path(folder) / "control.txt"
            control.write_text(CONTROL)
            reached = any(one.get("vulns") for one in _audit("--disable-pip", "--no-deps", "-r", str(control)))
        if not reached:
            return _told(3, "not run: its database is out of reach; it needs the network")
        found = _audit("--path", sysconfig.get_path("purelib"))
    except (OSError, subprocess.TimeoutExpired, ValueError, KeyError, TypeError) as error:
        return _told(3, f"not run: pip-audit did not answer ({type(error).__name__}); it needs the network")
    return _told(*judged(found, tomllib.loads(KNOWN.read_text(encoding="utf-8"))["unreachable"]))


def _audit(*options: str) -> list[dict[str, Any]]:
    program = [str(Path(sys.executable).with_name("uvx")), "--from", PIP_AUDIT, "pip-audit"]
    command = [*program, "--format", "json", "--progress-spinner", "off", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
    found: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    return found


def judged(found: Sequence[Mapping[str, Any]], known: Sequence[Mapping[str, str]]) -> tuple[int, str]:
    """The exit code and what to say.

    Args:
        found: Packages as pip-audit lists them, each with `vulns`, or a `skip_reason` where it was not looked up.
        known: Rows of `audit.toml`.
    """
    looked_up = [one for one in found if "skip_reason" not in one]
    passed_over = sorted(one["name"] for one in found if "skip_reason" in one and one["name"] != OURS)
    if not looked_up:
        return 3, f"not run: none of {len(found)} packages could be looked up; it needs the network"
    reasons = {one["id"]: one["why"] for one in known if "id" in one}
    lines, n_reachable = [], 0
    for one in looked_up:
        for vulnerability in one["vulns"]:
            names = [vulnerability["id"], *vulnerability.get("aliases", [])]
            why = next((reasons[name] for name in names if name in reasons), None)
            n_reachable += why is None
            fixed = ", ".join(vulnerability.get("fix_versions", [])) or "no release yet"
            lines.append(f"{one['name']} {one['version']}: {names[0]}, fixed by {fixed}. {why or 'NOT LISTED'}")
    lines.append(f"{len(looked_up)} packages looked up, {n_reachable} findings that .ci/audit.toml does not list.")
    if passed_over:
        lines.append(f"Not looked up: {', '.join(passed_over)}.")
    return int(n_reachable > 0), "\n".join(lines)


def _told(code: int, text: str) -> int:
    sys.stdout.write(f"audit: {text}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
