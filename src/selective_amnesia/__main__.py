"""The command line: `python -m selective_amnesia run` executes the notebooks and reports.

papermill executes them; this module checks the settings before it starts, hands them over, and
turns whatever stops a notebook into one sentence and a non-zero exit.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

from .checkpoint import LabError, write_bytes
from .config import PROFILES, count, forget_set
from .lab import Lab
from .records import record_leaderboard, record_matrix
from .results import results
from .training import Diverged

REPOSITORY = Path(__file__).resolve().parents[2]


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="selective_amnesia", description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    for name, what in (
        ("run", "execute the notebooks, then report"),
        ("report", "print the table of results and write build/results.json"),
        ("matrix", "each digit forgotten on its own, attacked beside its control; hours on a CPU"),
        ("leaderboard", "every forgetting method, or one, beside the controls"),
    ):
        command = commands.add_parser(name, help=what)
        command.add_argument("--profile", default="fast", help=", ".join(PROFILES))
        command.add_argument("--seed", type=int, default=0)
        command.add_argument("--forget", default="", help='one forget set, as "3 8"')
        command.add_argument("--dataset", default="mnist")
        if name == "leaderboard":
            command.add_argument("--seeds", type=int, default=3, help="originals and controls")
            command.add_argument("--methods", nargs="*", help="rows to make; all by default")
            command.add_argument("--harder", action="store_true", help="a harder attacker as well")
    options = parser.parse_args(arguments)
    try:
        lab = Lab.open(options.profile, options.seed, options.dataset)
        if options.command == "matrix":
            record_matrix(lab)
            return 0
        if options.command == "leaderboard":
            seeds = range(lab.seed, lab.seed + count("seeds", options.seeds))
            record_leaderboard(
                lab, options.forget or "0", seeds, options.methods, harder=options.harder
            )
            return 0
        sets = [" ".join(map(str, forget_set(options.forget)))] if options.forget else ["0", "0 1"]
        if options.command == "run":
            _execute_notebooks(lab, sets)
        _report(lab, sets)
    except (ValueError, OSError, LabError, Diverged) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _execute_notebooks(lab: Lab, sets: list[str]) -> None:
    """Each notebook in order, its output on this terminal, an executed copy in build/."""
    try:
        from nbclient.exceptions import DeadKernelError
        from papermill import PapermillExecutionError, execute_notebook
    except ImportError as error:
        raise LabError(f'{error}: pip install -e ".[run]", or use `make run`') from error

    os.environ.setdefault("SELECTIVE_AMNESIA_HOME", str(lab.folder))
    os.environ.setdefault("TQDM_MININTERVAL", "2")
    parameters = {
        "profile": lab.profile.name,
        "seed": lab.seed,
        "dataset": lab.dataset,
        "forget_sets": sets,
    }
    build = lab.folder / "build"
    build.mkdir(exist_ok=True)
    for notebook in sorted((REPOSITORY / "notebooks").glob("[0-9]*.ipynb")):
        print(f"\n=== {notebook.stem}", flush=True)
        started = time.perf_counter()
        try:
            execute_notebook(
                notebook,
                build / notebook.name,
                parameters,
                cwd=lab.folder,
                progress_bar=False,
                stdout_file=sys.stdout,
                stderr_file=sys.stderr,
                extra_arguments=["--log-level=ERROR"],
            )
        except PapermillExecutionError as error:
            raise LabError(f"{notebook.name} stopped: {error.evalue}") from error
        except DeadKernelError as error:
            what = "its kernel died, perhaps of too little memory"
            raise LabError(f"{notebook.name} stopped: {what}. Run it again.") from error
        print(f"    done in {time.perf_counter() - started:.0f} s", flush=True)


def _report(lab: Lab, sets: list[str]) -> None:
    found = results(lab, sets)
    write_bytes(lab.folder / "build" / "results.json", json.dumps(found, indent=1).encode())
    print(f"\n{table(found)}\n\nwritten to {lab.folder / 'build' / 'results.json'}")


def table(results: dict) -> str:
    """The results as a text table."""
    judge, referee, original = results["judge"], results["referee"], results["original"]
    by_referee = original["referee_probability"]
    rows = [
        ("profile, seed, device", f"{results['profile']}, {results['seed']}, {results['device']}"),
        ("CVAE test loss (nats per image)", f"{results['cvae']['test_loss']:.2f}"),
        ("judge, test accuracy", f"{judge['test_accuracy']:.2%}"),
        ("referee, test accuracy", f"{referee['test_accuracy']:.2%}"),
        ("referee, noise / blends rejected, digits kept", " / ".join(
            f"{referee[k]:.2%}" for k in ("noise_rejected", "blends_rejected", "digits_kept"))),
        ("original, referee's P(digit), mean", f"{sum(by_referee) / len(by_referee):.2%}"),
        ("original, referee's P(digit), worst", f"{min(by_referee):.2%}"),
        ("judge's entropy for flat grey (nats)", f"{judge['grey_entropy']:.3f}"),
    ]  # fmt: skip
    for name, forgotten in results["forget"].items():
        digits = [int(word) for word in name.split()]
        pairs = zip(forgotten["judge_probability"], digits, strict=True)
        rows += [
            (f"forgetting {name}: judge's P (of flat grey)", ", ".join(
                f"{p:.4f} ({judge['grey_probability'][d]:.4f})" for p, d in pairs)),
            (f"forgetting {name}: judge's entropy", ", ".join(
                f"{e:.3f}" for e in forgotten["judge_entropy"])),
            (f"forgetting {name}: referee's P", ", ".join(
                f"{p:.4f}" for p in forgotten["referee_probability"])),
            (f"forgetting {name}: kept digits' change", f"{forgotten['retained_change']:+.2%}"),
        ]  # fmt: skip
    for case, models in results["recovery"].items():
        audit = results["audit"][case]
        low, high = audit["interval"]
        found = " / ".join(
            f"{models[name]['a']['referee']:.2%}" for name in ("amnesiac", "control")
        )
        rows += [
            (f"attack A for {case}: referee's P, amnesiac / control", found),
            (f"erasure of {case} (95 %)", f"{audit['erasure']:.2f} ({low:.2f} to {high:.2f})"),
        ]
    width = max(len(label) for label, _ in rows)
    return "\n".join(f"{label:<{width}}  {value}" for label, value in rows)


if __name__ == "__main__":
    sys.exit(main())
