"""The display of a training run."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from netdsl.data import DataPlan
from netdsl.primitives.leaf import learns
from netdsl.report.table import Cells, table
from netdsl.report.values import value_text
from netdsl.source import counted
from netdsl.terminal import JOINT, fitted, wrapped
from netdsl.train import Callback, EpochResult, FitResult, Loop
from netdsl.train.checkpoint import Progress as Position
from netdsl.train.watch import Watch, watch_text

SHORTEST_BAR = 8
REFRESH = 0.1  # seconds
NAMED = 3  # samples that were left out, of which the log names all


def value_texts(values: Mapping[str, float]) -> list[str]:
    """Names and values, one text each."""
    return [f"{name} {value_text(name, value)}" for name, value in values.items()]


def values_text(values: Mapping[str, float]) -> str:
    """`loss 0.123  accuracy 97.25 %`."""
    return "  ".join(value_texts(values))


def start_text(epochs: int, batches: int, progress: Position, where: str) -> str:
    """The first line of a run: how much there is to do, and where it is kept."""
    if progress.epoch >= epochs:
        return (
            f"{counted(progress.epoch, 'epoch')} {'is' if progress.epoch == 1 else 'are'} done already{where}"
        )
    if progress.step:
        at = f" batch {progress.batch + 1}/{batches}" if progress.batch else ""
        return f"going on{where} from epoch {progress.epoch + 1}/{epochs}{at}"
    return f"training for {counted(epochs, 'epoch')} of {counted(batches, 'batch')}{where}"


def weights_text(loop: Loop) -> list[str]:
    """What came from a file of weights."""
    return loop.start.lines if loop.start is not None else []


def about_text(data: DataPlan) -> list[str]:
    """What was found in the data, and what was left out of it, a line each."""
    lines = [f"{name}: {text}" for name, text in data.about.items()]
    for name, messages in data.skipped.items():
        more = f"; and {len(messages) - NAMED:,} more" if len(messages) > NAMED else ""
        lines.append(f"{name}: {len(messages):,} skipped: {'; '.join(messages[:NAMED])}{more}")
    return lines


def stage_text(loop: Loop, beginning: bool) -> list[str]:
    """The stage of the epoch to come, how long it is and what learns in it, if it begins now, or goes on."""
    progress, stretch = loop.progress, loop.learner.settings.stretch(loop.progress.epoch)
    begins = progress.epoch == stretch.first and progress.batch == 0
    if stretch.stage is None or begins != beginning or progress.epoch >= loop.epochs:
        return []
    sizes = {n.id: n.types[0].size for n in loop.learner.objective.leaves("param") if learns(n.op)}
    count = sum(
        size for name, size in sizes.items() if name not in stretch.stage.frozen(loop.learner.objective)
    )
    what = "everything" if stretch.stage.patterns is None else ", ".join(stretch.stage.patterns)
    rate = "" if stretch.lr is None else f", lr {stretch.lr:g}"
    length = counted(stretch.epochs, "epoch")
    return [f"stage {stretch.number}/{stretch.count}: {length}, training {what} ({count:,} weights){rate}"]


def test_text(result: FitResult) -> str:
    """What the values of the test set are those of."""
    return "test:" if result.restored is None else f"test, weights of epoch {result.restored}:"


def work_of(loop: Loop) -> dict[str, int]:
    """What the method has done so far; its iterations only where an epoch has several."""
    several = len(loop.batches) > 1
    return {name: n for name, n in loop.learner.work().items() if several or name != "iterations"}


def work_texts(loop: Loop) -> list[str]:
    """The same in words, `evaluations 34`."""
    return [f"{name} {n:,}" for name, n in work_of(loop).items()]


def watched_text(loop: Loop) -> list[str]:
    """What was watched in the epoch, where something was."""
    return [watch_text(c.latest) for c in loop.callbacks if isinstance(c, Watch) and c.latest]


def time_text(seconds: float) -> str:
    """`1:02:03`, `2:03`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Lines(Callback):
    """One plain line per epoch."""

    def __init__(self, where: str, data: DataPlan) -> None:
        self.where, self.data = where, data

    def on_train_begin(self, loop: Loop) -> None:
        """Print what the data is, where that was found out, and the first line of a run."""
        text = start_text(loop.epochs, len(loop.batches), loop.progress, self.where)
        print(
            "\n".join([*about_text(self.data), text, *weights_text(loop), *stage_text(loop, False)]),
            flush=True,
        )

    def on_epoch_begin(self, loop: Loop) -> None:
        """Say which stage begins."""
        for line in stage_text(loop, True):
            print(line, flush=True)

    def on_epoch_end(self, loop: Loop, result: EpochResult) -> None:
        """Print the epoch."""
        text = (
            f"epoch {result.epoch}/{loop.epochs}  {'  '.join([values_text(result.train), *work_texts(loop)])}"
        )
        if result.validation is not None:
            text += f"  validation: {values_text(result.validation)}"
        print(
            "\n".join([f"{text}  ({loop.seconds:.1f} s)", *(f"  {t}" for t in watched_text(loop))]),
            flush=True,
        )

    def on_train_end(self, loop: Loop, result: FitResult) -> None:
        """Print why it ended, where a method has found that out, and the result on the test set."""
        if loop.reason is not None:
            print(loop.reason, flush=True)
        if result.test is not None:
            print(
                f"{test_text(result)} {values_text(result.test)}  ({result.seconds:.1f} s in all)", flush=True
            )


class Bars(Callback):
    """A bar for the running epoch, below a table with a row for each that is done.

    Both follow the width of the terminal. The training thread draws the bar: a thread of its own could not report
    that the terminal was closed.
    """

    def __init__(self, where: str, data: DataPlan) -> None:
        self.where, self.data = where, data
        self.console = Console(highlight=False, soft_wrap=True)
        self.live = Live(console=self.console, transient=True, auto_refresh=False)
        self.headings: Sequence[str] = ()

    def on_train_begin(self, loop: Loop) -> None:
        """Print what the data is, where that was found out, and the first line of a run; show the bar."""
        epochs, batches, progress = loop.epochs, len(loop.batches), loop.progress
        self.epochs, self.batches, self.begun = epochs, batches, progress.step
        self.at, self.values, self.doing = (progress.epoch, progress.batch), dict[str, float](), ""
        self.work = work_texts(loop)
        self.began = time.monotonic()
        text = start_text(epochs, batches, progress, self.where)
        for line in (*about_text(self.data), text, *weights_text(loop), *stage_text(loop, False)):
            self.console.print(fitted(line, self.console.width), markup=False)
        self.live.start()
        self._draw()

    def on_epoch_begin(self, loop: Loop) -> None:
        """Say which stage begins."""
        for line in stage_text(loop, True):
            self.console.print(fitted(line, self.console.width))

    def on_batch_end(self, loop: Loop, values: dict[str, float]) -> None:
        """Move the bar."""
        progress = loop.progress
        self.at, self.values = (progress.epoch, progress.batch), values
        self.work = work_texts(loop)
        full = progress.batch == self.batches
        self.doing = "validating" if full and self.data.has_validation else ""
        if full or time.monotonic() > self.drawn + REFRESH:
            self._draw()

    def on_epoch_end(self, loop: Loop, result: EpochResult) -> None:
        """Leave a row and start the bar again."""
        epoch = result.epoch
        done = epoch == self.epochs
        self.at, self.values = (epoch - done, done * self.batches), {}
        self.doing = "testing" if done and self.data.has_test else ""
        columns = list(_columns(result, self.epochs, loop.seconds, work_of(loop)))
        (head, rule, row), left = table(columns, self.console.width)
        headings = [c.heading for c in columns if c.heading not in left]
        if headings != self.headings:
            self.console.print(f"{head}\n{rule}", style="bold")
            self.headings = headings
        self.console.print(row)
        for text in watched_text(loop):
            self.console.print("\n".join(wrapped(f"  {text}", self.console.width, indent=4)), markup=False)
        self._draw()

    def on_train_end(self, loop: Loop, result: FitResult) -> None:
        """Take the bar away and print the result, and why it ended, where a method has found that out."""
        self.close()
        if loop.reason is not None:
            self.console.print("\n".join(wrapped(loop.reason, self.console.width, indent=2)))
        if result.test is not None:
            # A line is not broken between a name and its value.
            values = "  ".join(text.replace(" ", JOINT) for text in value_texts(result.test))
            text = f"{test_text(result)} {values}  ({result.seconds:.1f} s in all)"
            self.console.print("\n".join(wrapped(text, self.console.width, indent=6)))

    def close(self) -> None:
        """Take the bar away, whatever happened."""
        self.live.stop()

    def _draw(self) -> None:
        self.drawn = time.monotonic()
        # Ctrl-C prints ^C after the bar; it must not start a new line.
        self.live.update(self._bar(self.console.width - 3), refresh=True)

    def _bar(self, width: int) -> Table:
        """One line: the epoch, a bar, and as much of the rest as there is room for."""
        left, right = next(
            (a, b) for a, b in self._texts() if len(a) + len(b) + 2 + SHORTEST_BAR <= width or not b
        )
        line = Table.grid(padding=(0, 1, 0, 0))
        # With 16 colours Rich's own of a full bar is that of an empty one.
        room = max(1, width - len(left) - len(right) - 2)
        bar = ProgressBar(self.batches, self.at[1], width=room, finished_style="green")
        line.add_row(left, bar, right)
        return line

    def _texts(self) -> Iterator[tuple[str, str]]:
        """The texts before and after the bar, from long to short."""
        epoch, batch = self.at
        where, count = f"{epoch + 1}/{self.epochs}", f"{batch}/{self.batches}"
        values = [self.doing] if self.doing else [*value_texts(self.values), *self.work]
        time_left = self._time_left()
        for n in range(len(values), 0, -1):
            yield f"epoch {where}", "  ".join([count, *values[:n], *(f"{t} left" for t in time_left)])
        yield where, "  ".join([count, *values[:1], *time_left])
        yield where, "  ".join([count, *values[:1]])
        yield where, count
        yield where, ""

    def _time_left(self) -> list[str]:
        """The estimated time for the rest of the run; nothing at the very start."""
        epoch, batch = self.at
        done, seconds = epoch * self.batches + batch - self.begun, time.monotonic() - self.began
        if done < 1 or seconds < 1:
            return []
        rest = self.epochs * self.batches - self.begun - done
        return [time_text(seconds / done * rest)]


def _columns(result: EpochResult, epochs: int, seconds: float, work: Mapping[str, int]) -> Iterator[Cells]:
    """The cells of an epoch; in a narrow terminal training values go first, the last ones before the loss."""
    yield _cell("epoch", f"{result.epoch}/{epochs}", len(f"{epochs}/{epochs}"), 100)
    for rank, values, prefix in ((20, result.train, ""), (60, result.validation or {}, "val ")):
        for n, (name, value) in enumerate(values.items()):
            yield _cell(prefix + name, value_text(name, value), 8, rank - n)
    for name, number in work.items():
        yield _cell(name, f"{number:,}", len(name), 25)
    yield _cell("time", f"{seconds:.1f} s", 6, 30)


def _cell(heading: str, text: str, width: int, rank: int) -> Cells:
    return Cells(heading, [text.rjust(width)], True, rank)
