"""A driver like `service.jobs.ray_engine.driver`, with the arms of `scripted_job` on the nodes."""

import sys
from functools import partial
from pathlib import Path

from service.jobs.ray_engine.desk import RemoteDesk
from service.jobs.ray_engine.driver import driver_process, end_process
from service.run.composition.carried_stages import carry_stage
from service.run.settings import ComparisonSettings
from service.store.data_directory import DataDirectory
from tests.chaos.scripted_job import Script, ScriptedComposition


def compose(
    script: Script, settings: ComparisonSettings, directory: DataDirectory, desk: RemoteDesk
) -> ScriptedComposition:
    return ScriptedComposition(script, settings, directory, partial(carry_stage, desk))


def identify(spec: str, revision: str | None) -> str:
    return "scripted"


def main() -> None:
    *arguments, journal, die_at, freeze_at, block_s = sys.argv[1:]
    script = Script(Path(journal), die_at, freeze_at, float(block_s))
    # As a module, which processes of the cluster can import.
    from tests.chaos import scripted_driver

    end_process(driver_process(partial(scripted_driver.compose, script), scripted_driver.identify, arguments))


if __name__ == "__main__":
    main()
