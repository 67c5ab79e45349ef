"""What is installed: every file that the code reads, and no weights."""

import tomllib
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PACKAGES = tuple(name.rstrip("*") for name in PYPROJECT["tool"]["setuptools"]["packages"]["find"]["include"])
WEIGHTS = frozenset({".safetensors", ".gguf", ".bin", ".pt", ".pth", ".onnx", ".npy", ".npz"})
MAX_BYTES = 1_000_000


def data_files() -> list[Path]:
    """Files of the packages that are no Python, relative to the root."""
    files = [path for name in PACKAGES for path in (ROOT / name).rglob("*") if path.is_file()]
    return sorted(p.relative_to(ROOT) for p in files if p.suffix not in (".py", ".pyc"))


def test_every_file_beside_the_code_is_installed_with_it() -> None:
    patterns = PYPROJECT["tool"]["setuptools"]["package-data"]
    for path in data_files():
        package = next(folder for folder in path.parents if (ROOT / folder / "__init__.py").is_file())
        wanted = [*patterns.get("*", ()), *patterns.get(".".join(package.parts), ())]
        inside = path.relative_to(package)
        assert any(inside.parent.name == Path(p).parent.name and fnmatch(inside.name, Path(p).name) for p in wanted), (
            path
        )


def test_no_weights_and_nothing_large_is_installed() -> None:
    for path in data_files():
        assert path.suffix not in WEIGHTS, path
        assert (ROOT / path).stat().st_size < MAX_BYTES, path


def test_every_file_of_the_bundled_datasets_is_installed_where_it_is_looked_for() -> None:
    places = PYPROJECT["tool"]["setuptools"]["data-files"]
    installed = {
        f"{place}/{path.name}": path
        for place, globs in places.items()
        for pattern in globs
        for path in ROOT.glob(pattern)
    }
    wanted = {
        f"share/tuning-fork/{path.relative_to(ROOT).as_posix()}": path
        for path in (ROOT / "datasets").rglob("*")
        if path.is_file()
    }
    assert installed == wanted
