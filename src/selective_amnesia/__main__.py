"""The command line: `python -m selective_amnesia run` executes the notebooks and reports.

papermill executes them; this module checks the settings before it starts, hands them over, and
turns whatever stops a notebook into one sentence and a non-zero exit.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from . import forgetting
from .checkpoint import LabError, write_bytes
from .config import PROFILES, count, forget_set
from .lab import Lab
from .results import erasures, matrix, results
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
        if name == "matrix":
            command.add_argument("--seeds", type=int, default=3, help="seeds for the erasure of 0")
        if name == "leaderboard":
            command.add_argument("--seeds", type=int, default=3, help="originals and controls")
            command.add_argument("--methods", nargs="*", help="rows to make; all by default")
    options = parser.parse_args(arguments)
    try:
        lab = Lab.open(options.profile, options.seed, options.dataset)
        if options.command == "matrix":
            _matrix(lab, count("seeds", options.seeds))
            return 0
        if options.command == "leaderboard":
            seeds = range(lab.seed, lab.seed + count("seeds", options.seeds))
            _leaderboard(lab, options.forget or "0", seeds, options.methods)
            return 0
        sets = [" ".join(map(str, forget_set(options.forget)))] if options.forget else ["0", "0 1"]
        if options.command == "run":
            _execute_notebooks(lab, sets)
        _report(lab, sets)
    except (ValueError, FileNotFoundError, LabError, Diverged) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _execute_notebooks(lab: Lab, sets: list[str]) -> None:
    """Each notebook in order, its output on this terminal, an executed copy in build/."""
    from papermill import PapermillExecutionError, execute_notebook

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
        print(f"    done in {time.perf_counter() - started:.0f} s", flush=True)


def _report(lab: Lab, sets: list[str]) -> None:
    found = results(lab, sets)
    write_bytes(lab.folder / "build" / "results.json", json.dumps(found, indent=1).encode())
    print(f"\n{table(found)}\n\nwritten to {lab.folder / 'build' / 'results.json'}")


def _matrix(lab: Lab, seeds: int) -> None:
    """The evaluation matrix of all digits, and the erasure of 0 over several seeds, written to
    figures/gallery as JSON and as pictures."""
    from . import plots_attack
    from .plots import render

    alone = [(digit, (digit,)) for digit in range(lab.classes)]
    minutes = lab.cvae().facts["seconds"] * (1.6 * lab.classes + 3 * seeds) / 60
    print(
        f"{lab.classes} amnesiacs, {lab.classes + seeds - 1} controls, {seeds - 1} more originals, "
        f"and the attacks on them: about {minutes:.0f} minutes from nothing. What is finished is "
        "not made again; stop it whenever you like.",
        flush=True,
    )
    tables = matrix(lab, alone)
    by_digit = erasures(lab, alone)
    by_seed, lengths = {}, {}
    for other in lab.siblings(range(lab.seed, lab.seed + seeds)):
        by_seed[other.seed] = erasures(other, alone[:1])["0"]
        lengths[other.seed] = {
            name: float(other.description_length(model, 0).mean())
            for name, model in other.trio({0}).items()
        }
    original, amnesiac, control = (
        statistics.mean(length[name] for length in lengths.values())
        for name in ("original", "amnesiac", "control")
    )
    facts = _facts(lab)
    found = facts | tables
    found |= {
        "erasure": by_digit,
        "erasure_of_0_by_seed": by_seed,
        "description_length_of_0_by_seed": lengths,
        "erasure_of_0_over_seeds": (amnesiac - original) / (control - original),
    }
    folder = lab.folder / "figures" / "gallery"
    write_bytes(folder / "matrix.json", json.dumps(found, indent=1).encode())
    about = "profile {profile}, seed {seed}, {date}, {device}".format(**facts)
    columns = [str(digit) for digit, _ in alone]
    for who in ("referee", "judge"):
        title = f"{who}'s mean P(digit), %, each digit forgotten on its own ({about})"
        figure = plots_attack.matrix(tables[who], columns, title)
        write_bytes(folder / f"matrix_{who}.png", render(figure)[1])
    figure = plots_attack.erasure_points(by_digit, by_seed)
    write_bytes(folder / "matrix_erasure.png", render(figure)[1])
    print(f"written to {folder}: matrix.json, three pictures")


def _leaderboard(
    lab: Lab, digits: str, seeds: Sequence[int], methods: Sequence[str] | None
) -> None:
    """The leaderboard of one forget set, written to figures/gallery as JSON and as a picture, and
    into the README; rows that are not made now keep their figures."""
    from . import plots_methods
    from .leaderboard import by_set, leaderboard, markdown, ranked, sets_markdown
    from .plots import render

    name = " ".join(map(str, forget_set(digits)))
    methods = methods or [forgetting.RETRAIN, *forgetting.METHODS]
    folder = lab.folder / "figures" / "gallery"
    path = folder / "leaderboard.json"
    known = json.loads(path.read_text()) if path.is_file() else {}
    _check_same_terms(known, name, lab, seeds)
    minutes = lab.cvae().facts["seconds"] * len(seeds) * (2 + 0.8 * len(methods)) / 60
    print(
        f"{len(seeds)} originals and controls, {len(methods)} methods: about {minutes:.0f} minutes "
        "from nothing. What is finished is not made again; stop it whenever you like.",
        flush=True,
    )
    made = leaderboard(lab, name, seeds, methods)
    known = json.loads(path.read_text()) if path.is_file() else {}
    rows = known.get(name, {}).get("rows", {}) | made["rows"]
    known[name] = _facts(lab) | {"seeds": list(seeds)} | made | {"rows": rows}
    write_bytes(path, json.dumps(known, indent=1).encode())
    text = [markdown(known[name]), _about(known[name])]
    if name == "0":
        order = {method: table for method, table in ranked(known[name]) if table}
        write_bytes(folder / "leaderboard.png", render(plots_methods.board(order, "{0}"))[1])
    print("\n\n".join([*text, f"written to {folder}: leaderboard.json"]))
    if "0" not in known or not (lab.folder / "README.md").is_file():
        return
    text = [markdown(known["0"]), _about(known["0"])]
    if len(known) > 1:
        picture = render(plots_methods.by_set(by_set(known)))[1]
        write_bytes(folder / "leaderboard_sets.png", picture)
        text.append(sets_markdown(known))
    between_marks(lab.folder / "README.md", "leaderboard", "\n\n".join(text))


def _check_same_terms(known: dict[str, Any], name: str, lab: Lab, seeds: Sequence[int]) -> None:
    """Raises ValueError where rows made now would stand beside rows of another yardstick."""
    now = {"profile": lab.profile.name, "dataset": lab.dataset}
    for other, found in known.items():
        terms = now | ({"seeds": list(seeds)} if other == name else {})
        recorded = {term: found[term] for term in terms}
        if recorded != terms:
            raise ValueError(
                f"the leaderboard of {{{other}}} was recorded with {recorded}, not {terms}: use "
                "the same, or take figures/gallery/leaderboard.json away first"
            )


def _about(found: dict[str, Any]) -> str:
    seeds = ", ".join(map(str, found["seeds"]))
    return (
        "Profile {profile}, seeds {seeds}, {date}, {device}, torch {torch}; made by `make "
        "leaderboard`.".format(**found | {"seeds": seeds})
    )


def between_marks(path: Path, mark: str, text: str) -> None:
    """Replace what stands in a Markdown file between the comments "MARK: begin" and "MARK: end"."""
    begin, end = f"<!-- {mark}: begin -->", f"<!-- {mark}: end -->"
    before, found, rest = path.read_text().partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise LabError(f"{path.name} has no {begin} ... {end}: put both where the table belongs")
    write_bytes(path, f"{before}{begin}\n\n{text}\n\n{end}{after}".encode())


def _facts(lab: Lab) -> dict[str, Any]:
    """What a recorded run says of itself."""
    return {
        "profile": lab.profile.name,
        "seed": lab.seed,
        "dataset": lab.dataset,
        "device": _device(lab),
        "torch": torch.__version__,
        "date": time.strftime("%Y-%m-%d"),
    }


def _device(lab: Lab) -> str:
    return torch.cuda.get_device_name(lab.device) if lab.device.type == "cuda" else "CPU"


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
