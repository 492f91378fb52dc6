"""How long a reader waits before anything happens."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from measure import Row, seconds

from selective_amnesia import Lab

REPOSITORY = Path(__file__).resolve().parents[1]


def imports(turns: int = 7) -> Row:
    """`import selective_amnesia` beside `import torch`, each in a process of its own."""
    ours, torch = [], []
    for _ in range(turns):
        torch.append(seconds(lambda: _python("-c", "import torch")))
        ours.append(seconds(lambda: _python("-c", "import selective_amnesia")))
    return Row("import selective_amnesia, beside import torch", ours, torch, goal="0.3 s more")


def kept_notebooks(lab: Lab) -> list[Row]:
    """Each notebook from the top, all of its stages kept: once, since it only reads."""
    rows = []
    for notebook in sorted((REPOSITORY / "notebooks").glob("0*.ipynb")):
        took = seconds(lambda notebook=notebook: execute(notebook, lab._folder))
        rows.append(Row(f"notebook {notebook.stem}, all stages kept", [took], goal="30 s"))
    return rows


def all_notebooks(lab: Lab) -> list[Row]:
    """All notebooks from an empty folder with MNIST and the weights of LPIPS cached, once: the
    seven that follow one model, and the gallery after them."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "data").symlink_to(lab._folder / "data")
        took = {
            notebook.stem: seconds(lambda notebook=notebook: execute(notebook, Path(folder)))
            for notebook in sorted((REPOSITORY / "notebooks").glob("0*.ipynb"))
        }
    *seven, last = took
    return [
        Row(
            "notebooks 01 to 07 from an empty folder",
            [sum(took[name] for name in seven)],
            goal="600 s",
            quality={f"{name} (s)": [took[name], None] for name in seven},
        ),
        Row(f"notebook {last} after them", [took[last]]),
    ]


def execute(notebook: Path, folder: Path) -> None:
    """Run a notebook from the top in a process of its own."""
    with tempfile.TemporaryDirectory() as scratch:
        _python("-m", "nbconvert", "--to", "notebook", "--execute", "--output-dir", scratch,
                str(notebook), SELECTIVE_AMNESIA_HOME=str(folder))  # fmt: skip


def _python(*arguments: str, **settings: str) -> None:
    subprocess.run(
        [sys.executable, *arguments],
        check=True,
        capture_output=True,
        env={**os.environ, **settings},
    )
