"""How long a reader waits before anything happens."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from measure import Row, seconds

from selective_amnesia import Lab

REPOSITORY = Path(__file__).resolve().parents[1]
FROM_EMPTY = REPOSITORY / "build" / "from-empty"  # stays, for whoever wants to look at the stages


def imports(turns: int = 7) -> Row:
    """`import selective_amnesia` beside `import torch`, each in a process of its own."""
    ours, torch = [], []
    for _ in range(turns):
        torch.append(seconds(lambda: _python("-c", "import torch")))
        ours.append(seconds(lambda: _python("-c", "import selective_amnesia")))
    return Row("import selective_amnesia, beside import torch", ours, torch, goal="0.3 s more")


def notebooks(lab: Lab) -> list[Row]:
    """The seven that follow one model from an empty folder, with MNIST and the weights of LPIPS
    cached, and once more when all of their stages are kept; each once."""
    if FROM_EMPTY.is_dir():
        shutil.rmtree(FROM_EMPTY)
    FROM_EMPTY.mkdir(parents=True)
    (FROM_EMPTY / "data").symlink_to(lab.store.folder / "data")
    *seven, _ = sorted((REPOSITORY / "notebooks").glob("0*.ipynb"))
    first, again = ({path.stem: execute(path) for path in seven} for _ in range(2))
    whole = Row(
        "notebooks 01 to 07 from an empty folder",
        [sum(first.values())],
        goal="600 s",
        quality={f"{name} (s)": [took, None] for name, took in first.items()},
    )
    kept = (Row(f"{name}, all stages kept", [took], goal="30 s") for name, took in again.items())
    return [whole, *kept]


def gallery(lab: Lab) -> list[Row]:
    """Notebook 08 after the seven, and once more."""
    if not FROM_EMPTY.is_dir():
        raise SystemExit("the gallery follows the other notebooks: measure `notebooks` first")
    *_, last = sorted((REPOSITORY / "notebooks").glob("0*.ipynb"))
    after, again = (execute(last) for _ in range(2))
    kept = Row(f"{last.stem}, all stages kept", [again], goal="30 s")
    return [Row(f"{last.stem} after them", [after]), kept]


def execute(notebook: Path) -> float:
    """Run a notebook from the top in a process of its own: seconds."""
    with tempfile.TemporaryDirectory() as scratch:
        return seconds(
            lambda: _python("-m", "nbconvert", "--to", "notebook", "--execute", "--output-dir",
                            scratch, str(notebook), SELECTIVE_AMNESIA_HOME=str(FROM_EMPTY))
        )  # fmt: skip


def _python(*arguments: str, **settings: str) -> None:
    subprocess.run(
        [sys.executable, *arguments],
        check=True,
        capture_output=True,
        env={**os.environ, **settings},
    )
