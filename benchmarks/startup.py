"""How long a reader waits before anything happens."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from measure import Row, seconds

from selective_amnesia import Lab

REPOSITORY = Path(__file__).resolve().parents[1]
FROM_EMPTY = REPOSITORY / "build" / "from-empty"  # stays, for whoever wants to look at the stages
FOLLOW = range(8)  # notebooks 00 to 07 follow one model; 08 and 09 are the audit and the gallery
DONE = re.compile(r"^=== (\d\d)\S*$.*?^    done in (\d+) s$", re.MULTILINE | re.DOTALL)


def imports(turns: int = 7) -> Row:
    """`import selective_amnesia` beside `import torch`, each in a process of its own."""
    ours, torch = [], []
    for _ in range(turns):
        torch.append(seconds(lambda: _python("-c", "import torch")))
        ours.append(seconds(lambda: _python("-c", "import selective_amnesia")))
    return Row("import selective_amnesia, beside import torch", ours, torch, goal="0.3 s more")


def notebooks(lab: Lab) -> list[Row]:
    """`make run` from an empty folder, with MNIST and the weights of LPIPS cached; once more with
    all stages kept; and with profile smoke, quiet and beside two processes that each keep a core
    busy. Each once."""
    first, peak = run(lab, "fast", empty=True)
    kept, _ = run(lab, "fast")
    smoke, _ = run(lab, "smoke", empty=True)
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]
    try:
        beside, _ = run(lab, "smoke", empty=True)
    finally:
        for process in busy:
            process.kill()
    follow = sum(took for number, took in first.items() if number in FOLLOW)
    each = {f"{number:02d} (s)": [took, None] for number, took in first.items()}
    slowest = {"the slowest (s)": [max(kept.values()), None]}
    whole = "notebooks 00 to 07, profile fast, from an empty folder"
    quiet = [sum(smoke.values())]
    return [
        Row(whole, [follow], goal="600 s", quality=each, peak_mib=[peak]),
        Row("08 and 09 after them", [sum(first.values()) - follow], goal="600 s"),
        Row("all ten, all stages kept", [sum(kept.values())], goal="100 s", quality=slowest),
        Row("all ten, profile smoke, from an empty folder", quiet, goal="90 s"),
        Row("the same beside two busy processes; quiet", [sum(beside.values())], quiet, "225 s"),
    ]


def run(lab: Lab, profile: str, *, empty: bool = False) -> tuple[dict[int, float], float]:
    """`python -m selective_amnesia run`: each notebook's seconds by its number, and the peak memory
    in MiB of the largest of all processes that it took."""
    if empty and FROM_EMPTY.is_dir():
        shutil.rmtree(FROM_EMPTY)
    FROM_EMPTY.mkdir(parents=True, exist_ok=True)
    if empty:
        (FROM_EMPTY / "data").symlink_to(lab.store.folder / "data")
    with tempfile.TemporaryFile("w+") as said:
        settings = {**os.environ, "SELECTIVE_AMNESIA_HOME": str(FROM_EMPTY)}
        command = [sys.executable, "-m", "selective_amnesia", "run", "--profile", profile]
        started = subprocess.Popen(command, stdout=said, stderr=subprocess.DEVNULL, env=settings)
        _, status, used = os.wait4(started.pid, 0)
        if status:
            raise SystemExit(f"the notebooks of profile {profile} did not run to the end")
        said.seek(0)
        took = {int(number): float(s) for number, s in DONE.findall(said.read())}
    return took, used.ru_maxrss / 2**10


def _python(*arguments: str) -> None:
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
