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
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from threading import Thread
from typing import TextIO

from .checks import count, forget_set, words
from .errors import Diverged, LabError
from .forgetting import METHODS, RETRAIN
from .lab.lab import Lab
from .profiles import PROFILES
from .reports.export import export
from .reports.matrix import record_matrix
from .reports.panel import record_panel
from .reports.population import record_population
from .reports.results import results, table
from .reports.tables import said
from .storage.files import write_bytes
from .storage.home import repository
from .sweep.plan import Task, networks
from .sweep.where import Where


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        if options.command == "sweep":
            _sweep_networks(options)
            return 0
        lab = Lab.open(options.profile, options.seed, options.dataset)
        if options.command == "matrix":
            many = count("originals", options.originals, 0)
            record_matrix(lab, options.sets, many, _maker(lab, options))
        elif options.command == "panel":
            record_panel(lab)
        elif options.command == "export":
            hub, web = export(lab, options.forget or "0")
            print(f"written to {hub} (for the Hugging Face Hub) and {web}")
        elif options.command == "population":
            forget = forget_set(options.forget or "0", lab.data.classes)
            seeds = range(lab.seed, lab.seed + count("seeds", options.seeds))
            kinds = options.methods or list(METHODS)
            lab = lab.variant(seed=options.judges)
            path = record_population(lab, forget, seeds, kinds, _maker(lab, options))
            print(f"{said(lab, forget, path)}\n\nwritten to {path}")
        else:
            sets = ["0", "0 1"]
            if options.forget:
                sets = [words(forget_set(options.forget, lab.data.classes))]
            if options.command == "run":
                _execute_notebooks(lab, sets)
            _report(lab, sets)
    except (ValueError, OSError, LabError, Diverged) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped: what is finished is kept, and the same command goes on", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="selective_amnesia", description=(__doc__ or "").split("\n")[0]
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, what in (
        ("run", "execute the notebooks, then report"),
        ("report", "print the table of results and write build/results.json"),
        ("matrix", "amnesiacs of every label attacked beside controls, over seeds; hours on a CPU"),
        ("panel", "the panel of classifiers tested: known images, eyes, attacks on its members"),
        ("population", "many models of every method told from many controls; hours on a CPU"),
        ("export", "the models of a forget set, by default 0, for the Hub, the page, notebook 00"),
        ("sweep", "the models of many seeds, sets, methods, at once"),
    ):
        command = commands.add_parser(name, help=what)
        command.add_argument("--profile", default="fast", help=", ".join(PROFILES))
        command.add_argument("--seed", type=int, default=0, help="the first, where there are more")
        if name == "sweep":
            _add_sweep(command)
        else:
            command.add_argument("--dataset", default="mnist")
        if name in ("run", "report", "population", "export"):
            command.add_argument("--forget", default="", help='one forget set, as "3 8"')
        if name == "matrix":
            command.add_argument("--sets", nargs="*", default=[], help='forget sets, as 0 "0 1"')
            command.add_argument(
                "--originals", type=int, default=0, help="of each; by default 8 or 3"
            )
        if name == "population":
            command.add_argument("--seeds", type=int, default=8, help="models of each kind")
            command.add_argument("--methods", nargs="*", help="all by default")
            command.add_argument("--judges", type=int, default=0, help="seed of judge and panel")
        if name in ("matrix", "population", "sweep"):
            _add_where(command)
    return parser


def _add_sweep(command: argparse.ArgumentParser) -> None:
    command.add_argument("--datasets", nargs="+", default=["mnist"])
    command.add_argument("--forget", nargs="+", default=["0"], help='forget sets, as 0 "0 1"')
    command.add_argument("--seeds", type=int, default=3, help="how many")
    command.add_argument("--methods", nargs="+", default=list(METHODS), help="all by default")


def _add_where(command: argparse.ArgumentParser) -> None:
    """The options of `Where`."""
    command.add_argument("--workers", type=int, help="processes of this machine, a thread each")
    command.add_argument("--scheduler", default="", help="Dask's, by its address")
    command.add_argument("--scheduler-file", default="", help="or by its file")
    command.add_argument("--resources", nargs="+", default=[], help="of a worker, as GPU=1")


def _where(options: argparse.Namespace) -> Where:
    return Where(
        options.workers, options.scheduler, options.scheduler_file, tuple(options.resources)
    )


def _maker(lab: Lab, options: argparse.Namespace) -> Callable[[list[Task]], None] | None:
    """What makes a report's stages on a cluster, where one is named."""
    where = _where(options)
    return partial(_swept, [lab], where) if where != Where() else None


def _sweep_networks(options: argparse.Namespace) -> None:
    where = _where(options)
    seeds = range(options.seed, options.seed + count("seeds", options.seeds))
    names = list(dict.fromkeys(options.datasets))
    labs = [Lab.open(options.profile, options.seed, name) for name in names]
    for method in options.methods:
        if method != RETRAIN:
            METHODS[method]
    tasks = []
    for lab in labs:
        sets = [forget_set(each, lab.data.classes) for each in options.forget]
        tasks += networks(lab.data.name, seeds, sets, options.methods)
    _swept(labs, where, tasks)


def _swept(labs: Sequence[Lab], where: Where, tasks: list[Task]) -> None:
    try:
        from .sweep.run import sweep
    except ImportError as error:
        raise LabError(f'{error}: pip install -e ".[sweep]"') from error
    sweep(labs, tasks, where)


def _execute_notebooks(lab: Lab, sets: list[str]) -> None:
    """Each notebook, its output on this terminal, an executed copy in build/. On a CPU of several
    cores two go on at once, from the first and from the last, with half of the threads each: a
    training step gains 1.3 to 1.7 times from a second thread, and much of the rest, as clustering
    or drawing, nothing. A stage that both want is made once, since it has a lock."""
    left = deque(sorted((repository() / "notebooks").glob("[0-9]*.ipynb")))
    if not left:
        raise LabError(
            "the notebooks are not part of an installed package: clone the repository and run "
            "this command in it"
        )
    os.environ.setdefault("SELECTIVE_AMNESIA_HOME", str(lab.store.folder))
    os.environ.setdefault("TQDM_MININTERVAL", "2")
    (lab.store.folder / "build").mkdir(exist_ok=True)
    stopped: list[Exception] = []
    cores = os.cpu_count() or 1
    if beside := lab.device.type == "cpu" and cores > 1:
        os.environ.setdefault("OMP_NUM_THREADS", str(cores // 2))
        backwards = Thread(target=_go_through, args=(left, -1, lab, sets, stopped), daemon=True)
        backwards.start()
    _go_through(left, 0, lab, sets, stopped)
    if beside and not stopped:
        backwards.join()
    if stopped:
        raise stopped[0]


def _go_through(
    left: deque[Path], end: int, lab: Lab, sets: list[str], stopped: list[Exception]
) -> None:
    """Execute the notebooks that are left, from one end. What those from the last say goes to
    build/beside.log. Where one stops, so do all."""
    log = lab.store.folder / "build" / "beside.log"
    try:
        with log.open("w") if end else nullcontext(sys.stdout) as output:
            while left:
                notebook, started = left.pop() if end else left.popleft(), time.perf_counter()
                where = f", in build/{log.name}" if end else ""
                print(f"\n=== {notebook.stem}{where}", flush=True)
                _execute(notebook, lab, sets, output)
                seconds = time.perf_counter() - started
                print(f"    {notebook.stem} done in {seconds:.0f} s", flush=True)
    except Exception as error:  # in a thread of its own it would be lost
        left.clear()
        stopped.append(error)


def _execute(notebook: Path, lab: Lab, sets: list[str], output: TextIO) -> None:
    try:
        from nbclient.exceptions import DeadKernelError
        from papermill import PapermillExecutionError, execute_notebook
    except ImportError as error:
        raise LabError(f'{error}: pip install -e ".[run]", or use `make run`') from error
    try:
        execute_notebook(
            notebook,
            lab.store.folder / "build" / notebook.name,
            {
                "profile": lab.profile.name,
                "seed": lab.seed,
                "dataset": lab.data.name,
                "forget_sets": sets,
            },
            cwd=lab.store.folder,
            progress_bar=False,
            stdout_file=output,
            stderr_file=output if output is not sys.stdout else sys.stderr,
            extra_arguments=["--log-level=ERROR"],
        )
    except PapermillExecutionError as error:
        raise LabError(f"{notebook.name} stopped: {error.evalue}") from error
    except DeadKernelError as error:
        what = "its kernel died, perhaps of too little memory"
        raise LabError(f"{notebook.name} stopped: {what}. Run it again.") from error


def _report(lab: Lab, sets: list[str]) -> None:
    found = results(lab, sets)
    path = lab.store.folder / "build" / "results.json"
    write_bytes(path, json.dumps(found, indent=1).encode())
    print(f"\n{table(found)}\n\nwritten to {path}")


if __name__ == "__main__":
    sys.exit(main())
