"""A home as an earlier commit of the program left it, unpacked where a test wants it."""

import json
import sqlite3
import tarfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from service.store.data_directory import DataDirectory

_ARCHIVE = Path(__file__).parent / "fixtures" / "home-24f09f5" / "home.tar.xz"
_MADE_AT = "/tmp/tuning-fork-home-24f09f5"
"""Where everything lay when it was made. Settings and decisions name the model's folder by it."""


@dataclass(frozen=True)
class OldHome:
    """The home and what is in it.

    Attributes:
        root: Holds the home and, beside it, the folder of the tiny model.
        tiny: Id of a comparison of that model: base, rag, fine-tuned, hybrid. `production` serves its hybrid, at the
            second revision; it is the baseline `main`.
        pocket: Id of a comparison of `pocket`, which came with the program then: base, rag.
        key: Secret of a key of scope admin.
        hybrid_answer: What hybrid of `tiny` answered to "How long is the warranty?".
    """

    root: Path
    tiny: str
    pocket: str
    dataset: str
    key: str
    hybrid_answer: str

    @property
    def directory(self) -> DataDirectory:
        return DataDirectory(self.root / "home")

    @property
    def model_folder(self) -> Path:
        return self.root / "tiny-model"

    @property
    def database_url(self) -> str:
        return f"sqlite:///{self.directory.root / 'tuning_fork.db'}"

    def run_folder(self, comparison_id: str) -> Path:
        """The folder that `tuningfork ask` and the like know a comparison by."""
        with closing(sqlite3.connect(self.directory.root / "tuning_fork.db")) as database:
            query = "SELECT content FROM report_files WHERE comparison_id = ? AND name = 'report.json'"
            ((report,),) = database.execute(query, [comparison_id]).fetchall()
        return self.directory.comparison(json.loads(report)["id"])


def unpack_old_home(root: Path) -> OldHome:
    """The home in a new folder, its model where its settings say."""
    with tarfile.open(_ARCHIVE) as archive:
        archive.extractall(root, filter="data")
    for path in (root / "home" / "comparisons").glob("*/*.json"):
        if path.name in ("settings.json", "decision.json"):
            path.write_text(path.read_text(encoding="utf-8").replace(_MADE_AT, str(root)), encoding="utf-8")
    with closing(sqlite3.connect(root / "home" / "tuning_fork.db")) as database, database:
        database.execute("UPDATE comparisons SET settings = replace(settings, ?, ?)", [_MADE_AT, str(root)])
        database.execute(
            "UPDATE report_files SET content = CAST(replace(CAST(content AS TEXT), ?, ?) AS BLOB) "
            "WHERE name IN ('settings.json', 'decision.json')",
            [_MADE_AT, str(root)],
        )
    made = json.loads((root / "made.json").read_text(encoding="utf-8"))
    return OldHome(root, **made)
