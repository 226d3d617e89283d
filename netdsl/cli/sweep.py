"""`netdsl sweep FILE --set width=16,32,64`: train with many settings, and say which are the best."""

from __future__ import annotations

import hashlib
import os
import shlex
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from netdsl.cli.command import UsageError, at_least_1, command, option, path
from netdsl.cli.common import DEVICE, FILE, NET, diagnostics, load_network, parse_overrides, print_page
from netdsl.cli.streams import ENDING, INTERRUPTED, columns, on_signals, say
from netdsl.source import Diagnostic, NetError, counted

if TYPE_CHECKING:
    from netdsl.elaborate import Network
    from netdsl.sweep.jobs import Jobs
    from netdsl.sweep.results import Attempt, Outcome
    from netdsl.sweep.space import Settings, Swept


def _from_2(word: str) -> int:
    return at_least_1(word if word != "1" else "one")


@command(
    FILE,
    option(
        "--set",
        dest="settings",
        action="append",
        default=[],
        metavar="NAME=VALUES",
        help="values to try, such as width=16,32,64 or train.batch=32..512 (doubling)",
    ),
    NET,
    option("--random", type=at_least_1, metavar="N", help="draw N combinations, instead of trying all"),
    option("--seed", type=int, default=0, metavar="N", help="of what --random draws (default: 0)"),
    option("--folds", type=_from_2, metavar="N", help="validate each by a cross-validation, as data.folds=N"),
    option("--seeds", type=_from_2, metavar="N", help="train each N times, with train.seed from 0 to N - 1"),
    option(
        "--out",
        type=path,
        files="/",
        metavar="DIR",
        help="folder of the sweep (default: a new one in runs)",
    ),
    option(
        "--resume",
        action="store_true",
        help="go on with the sweep in --out (default: the newest of this name): what is done is not repeated",
    ),
    option("--jobs", type=at_least_1, metavar="N", help="trainings at a time (default: one per processor)"),
    DEVICE,
)
def app(
    file: Path,
    settings: list[str],
    net: str | None,
    random: int | None,
    seed: int,
    folds: int | None,
    seeds: int | None,
    out: Path | None,
    resume: bool,
    jobs: int | None,
    device: str,
) -> None:
    """Train with every combination of settings, several at a time, and say which are the best.

    `lo..hi` doubles from lo to hi where that reaches hi, else goes up tenfold; with --random numbers between are
    drawn, by their logarithm where hi is ten times lo, or more.
    """
    from netdsl.backend.registry import find_target
    from netdsl.cli.runs import latest_run, new_run, run_name
    from netdsl.train.run_folder import SWEEP

    with diagnostics():
        find_target(device)
        plan = _plan(file, settings, net, random, seed, folds, seeds)
        plan = replace(
            plan, words=_typed(file, settings, net, random, seed, folds, seeds, jobs, device), device=device
        )
        name = f"{run_name(file, net)}-sweep"
        if out is not None:
            _sweep(plan, out, resume, jobs)
        elif resume:
            _sweep(plan, latest_run(name, lambda folder: (folder / SWEEP).exists()), resume, jobs)
        else:
            with new_run(name) as folder:
                _sweep(plan, folder, resume, jobs)


@dataclass(frozen=True)
class _Plan:
    """What is to be tried: `names` are the settings that differ, `fixed` those of all, `folded` of these what
    makes a cross-validation, `trials` the combinations, `words` those of the command line that say so."""

    file: Path
    net: str | None
    names: tuple[str, ...]
    fixed: Settings
    folded: Settings
    trials: Sequence[Settings]
    seeds: int | None
    digest: str
    criterion: tuple[str, int]
    words: tuple[str, ...] = ()
    device: str = "cpu"

    def typed(self, trial: Settings) -> list[str]:
        """The words of `netdsl train` for a trial."""
        both = {**self.fixed, **trial}
        net = ["--net", self.net] if self.net else []
        return [
            str(self.file),
            *net,
            *(w for name, text in both.items() for w in ("--set", f"{name}={text}")),
        ]


def _plan(
    file: Path,
    words: Sequence[str],
    net: str | None,
    random: int | None,
    seed: int,
    folds: int | None,
    seeds: int | None,
) -> _Plan:
    """Everything that can be told before the first training; raises NetError, and UsageError."""
    from netdsl.sweep.space import axis, trials
    from netdsl.syntax.read import read_source
    from netdsl.train.measures import Measures

    if str(file) == "-":
        raise UsageError("argument FILE: each training reads it anew, which stdin cannot be")
    given = parse_overrides(words)
    if seeds is not None and "train.seed" in given:
        raise UsageError("argument --seeds: not allowed with --set train.seed")
    try:
        axes = [axis(name, text, ranges=random is not None) for name, text in given.items()]
        swept = [a for a in axes if len(a.values) > 1]
        if not swept and seeds is None:
            raise UsageError(
                "argument --set: there is nothing to choose from; --set width=16,32,64 tries three"
            )
        found = trials(swept, random, seed)
    except ValueError as error:
        raise UsageError(f"argument --set: {error}") from None
    fixed = {a.name: a.values[0] for a in axes if len(a.values) == 1}
    folded = _folded(load_network(file, _words(fixed), net), folds)
    network = _checked(file, net, {**fixed, **folded}, swept, found)
    assert network.evaluation is not None
    digest = hashlib.sha256(read_source(file).text.encode()).hexdigest()
    names = tuple(a.name for a in swept)
    return _Plan(
        file,
        net,
        names,
        {**fixed, **folded},
        folded,
        found,
        seeds,
        digest,
        Measures(network.evaluation).criterion,
    )


def _folded(network: Network, folds: int | None) -> dict[str, str]:
    """The settings of a cross-validation, which takes the place of a validation set."""
    if folds is None:
        return {}
    validation = network.data.get("validation")
    if validation is None or validation.value is None:
        return {"data.folds": str(folds)}
    print_page(f"{folds} folds take the place of data.validation")
    return {"data.folds": str(folds), "data.validation": "none"}


def _typed(
    file: Path,
    settings: Sequence[str],
    net: str | None,
    random: int | None,
    seed: int,
    folds: int | None,
    seeds: int | None,
    jobs: int | None,
    device: str,
) -> tuple[str, ...]:
    """The words of the command line, without the folder and --resume."""
    given = {"net": net, "random": random, "seed": seed or None, "folds": folds, "seeds": seeds, "jobs": jobs}
    given["device"] = device if device != "cpu" else None
    options = [w for name, value in given.items() if value is not None for w in (f"--{name}", str(value))]
    return (str(file), *(w for text in settings for w in ("--set", text)), *options)


def _words(settings: Mapping[str, str]) -> list[str]:
    return [f"{name}={text}" for name, text in settings.items()]


def _checked(
    file: Path, net: str | None, fixed: Settings, axes: Sequence[Swept], trials: Sequence[Settings]
) -> Network:
    """Check every value: in one of the trials that have it the sections must fit; returns such a network.

    Raises NetError for a value that fits in none.  A trial that does not fit for another reason is told at the end.
    """
    network, passed = None, set[tuple[str, str]]()
    wrong: dict[tuple[str, str], NetError] = {}
    for trial in trials:
        mine = {*trial.items()}
        if network is not None and mine <= passed:
            continue
        try:
            network = _fitting(file, net, {**fixed, **trial})
        except NetError as error:
            wrong |= {value: wrong.get(value, error) for value in mine - passed}
        else:
            passed |= mine
    for value, reason in wrong.items():
        if value not in passed:
            raise reason
    assert network is not None
    return network


def _fitting(file: Path, net: str | None, settings: Settings) -> Network:
    """The network that a trial trains; raises NetError where it cannot be trained, or not be validated."""
    from netdsl.train.folds import folds_of
    from netdsl.train.sections import training_sections

    sections = training_sections(load_network(file, _words(settings), net))
    if sections.data is None or not (sections.data.has_validation or folds_of(sections.network)):
        message = "a sweep compares values of the validation set, and there is none"
        raise NetError(Diagnostic("data", message, fix="--folds 5, or --set data.validation=0.2"))
    return sections.network


def _sweep(plan: _Plan, folder: Path, resume: bool, jobs: int | None) -> None:
    """Train what is not done yet, then print the table."""
    from netdsl.sweep.jobs import Jobs
    from netdsl.sweep.manifest import Manifest, load_manifest, planned, save_manifest
    from netdsl.sweep.results import Attempt, is_done, row
    from netdsl.train.run_folder import SWEEP, Holds, has_begun, hold

    if not resume and (folder / SWEEP).exists():
        fix = "--resume goes on with it; another --out starts anew"
        raise NetError(Diagnostic("sweep", f"there is a sweep in {folder} already", fix=fix))
    runs = [{**trial, **s} for trial in plan.trials for s in _seeds(plan.seeds)]
    with hold(folder, not resume, Holds.SWEEP):
        old = load_manifest(folder) if resume else None
        manifest = planned(old, Manifest(plan.digest, plan.net, plan.fixed, *plan.criterion, ()), runs)
        save_manifest(folder, manifest)
        folders = {tuple(sorted(r.settings.items())): folder / r.folder for r in manifest.runs}
        wanted = {folders[tuple(sorted(run.items()))]: run for run in runs}
        left = [place for place in wanted if not is_done(place)]
        count = max(1, min(jobs or os.cpu_count() or 1, len(left)))
        print_page(_start_text(plan, folder, len(wanted), len(left), count))
        threads = ["--threads", str(max(1, (os.cpu_count() or 1) // count))]
        words = [
            ["train", *plan.typed(wanted[p]), "--out", str(p), "--device", plan.device]
            + (threads if plan.device == "cpu" else [])
            + (["--resume"] if has_begun(p) else [])
            for p in left
        ]
        failures = _run(Jobs(words, count), left, plan, wanted)
        places = iter(wanted)
        trials = [Attempt(t, tuple(next(places) for _ in _seeds(plan.seeds))) for t in plan.trials]
        _finish(plan, folder, [row(trial, failures) for trial in trials])


def _seeds(seeds: int | None) -> list[dict[str, str]]:
    from netdsl.sweep.results import SEED

    return [{}] if seeds is None else [{SEED: str(k)} for k in range(seeds)]


def _start_text(plan: _Plan, folder: Path, runs: int, left: int, jobs: int) -> str:
    trials = counted(len(plan.trials), "trial")
    each = f", {counted(runs, 'training')}" if runs != len(plan.trials) else ""
    done = f", {runs - left} done" if left < runs else ""
    at_a_time = f", {jobs} at a time" if left else ""
    return f"{trials}{each}{done}{at_a_time}, in {folder}"


def _run(
    jobs: Jobs, folders: Sequence[Path], plan: _Plan, wanted: Mapping[Path, Settings]
) -> dict[Path, str]:
    """Run the trainings and print a line for each that has ended; returns why others have not.

    The first Ctrl-C ends those at work after their step, a second one at once; then this raises SystemExit.
    """
    signals: list[int] = []

    def ending(number: int, frame: FrameType | None) -> None:
        signals.append(number)
        jobs.stop()

    failures: dict[Path, str] = {}
    ended, latest = 0, dict[int, str]()
    with on_signals((signal.SIGINT, *ENDING), ending), _status() as status:
        for told in jobs.run():
            if told.failure is None:
                latest[told.number] = told.line
            else:
                ended += not told.stopped
                latest.pop(told.number, None)
                place = folders[told.number]
                if told.failure and not told.stopped:
                    failures[place] = told.failure
                if not told.stopped:
                    text = ", ".join(_words(wanted[place]))
                    status.line(f"[{ended}/{len(folders)}] {text}: {told.failure or 'done'}")
            status.now(f"{ended}/{len(folders)} done, at work: {len(latest)}")
    if signals:
        say(f"interrupted; {ended} of {counted(len(folders), 'training')} done; to go on:")
        say(shlex.join(["netdsl", "sweep", *plan.words, "--out", str(folders[0].parent), "--resume"]))
        raise SystemExit(INTERRUPTED if signals[0] == signal.SIGINT else 128 + signals[0])
    return failures


class _Status:
    """Lines that stay, and in a terminal one below them that is written again."""

    def __init__(self) -> None:
        self._width = columns(sys.stdout) if os.environ.get("TERM") != "dumb" else None

    def line(self, text: str) -> None:
        """Print a line."""
        self.clear()
        print_page(text)
        sys.stdout.flush()

    def now(self, text: str) -> None:
        """Show what is going on."""
        if self._width:
            print(f"\r\033[K{text[: self._width - 1]}", end="", flush=True)

    def clear(self) -> None:
        """Take the last line away."""
        if self._width:
            print("\r\033[K", end="", flush=True)


@contextmanager
def _status() -> Iterator[_Status]:
    status = _Status()
    try:
        yield status
    finally:
        status.clear()


def _finish(plan: _Plan, folder: Path, rows: Sequence[Outcome]) -> None:
    """Print the table, and write it and the chart; exit status 1 where no trial came to its end."""
    from netdsl.cli.common import fail, writing
    from netdsl.files import atomic_write
    from netdsl.sweep.manifest import CHART, TABLE
    from netdsl.sweep.results import best
    from netdsl.sweep.show import chart, table_csv, table_lines
    from netdsl.terminal import terminal_width

    name = plan.criterion[0]
    winner = best(rows, plan.criterion)
    print("\n".join(table_lines(rows, plan.names, winner, name, columns(sys.stdout) or terminal_width())))
    picture = chart(rows, plan.names, winner, name)
    with writing(folder / TABLE):
        atomic_write(folder / TABLE, table_csv(rows, plan.names).encode())
    if picture is not None:
        with writing(folder / CHART):
            atomic_write(folder / CHART, picture.encode())
    written = [TABLE, *([CHART] if picture is not None else [])]
    print_page(f"saved in {folder}: {', '.join(written)}")
    if winner is None:
        fail([Diagnostic("sweep", "no trial came to its end")])
    _say_best(plan, rows[winner].trial, winner)


def _say_best(plan: _Plan, trial: Attempt, number: int) -> None:
    """The command that trains the best trial again, on all of the data."""
    from netdsl.cli.runs import given

    kept = replace(plan, fixed={k: v for k, v in plan.fixed.items() if k not in plan.folded})
    words = shlex.join(
        ["netdsl", "train", *kept.typed(trial.settings), *given("--device", plan.device, "cpu")]
    )
    print(f"trial {number + 1} is the best; to train it: {words}")
