"""What people see of a training run."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from netdsl.train import FitResult, Listener
from netdsl.train.checkpoint import Progress as Position


def values_text(values: dict[str, float]) -> str:
    """`loss 0.123  accuracy 97.25 %`."""
    parts = []
    for name, value in values.items():
        share = name.startswith(("accuracy", "top_k_accuracy"))
        parts.append(f"{name} {100 * value:.2f} %" if share else f"{name} {value:.4f}")
    return "  ".join(parts)


def epoch_text(
    epoch: int, epochs: int, train: dict[str, float], validation: dict[str, float] | None, seconds: float
) -> str:
    """The line that stays when an epoch is over."""
    text = f"epoch {epoch}/{epochs}  {values_text(train)}"
    if validation is not None:
        text += f"  validation: {values_text(validation)}"
    return f"{text}  ({seconds:.1f} s)"


class Lines(Listener):
    """One plain line per epoch."""

    def start(self, epochs: int, batches: int, progress: Position) -> None:
        """Remember how many epochs there are."""
        self.epochs = epochs
        print(f"training for {epochs} epochs of {batches} batches", flush=True)

    def epoch(
        self, epoch: int, train: dict[str, float], validation: dict[str, float] | None, seconds: float
    ) -> None:
        """Print the epoch."""
        print(epoch_text(epoch, self.epochs, train, validation, seconds), flush=True)

    def end(self, result: FitResult) -> None:
        """Print the result on the test set."""
        if result.test is not None:
            print(f"test: {values_text(result.test)}  ({result.seconds:.1f} s in all)", flush=True)


class Bars(Listener):
    """A bar for the running epoch; finished epochs stay as lines."""

    def __init__(self) -> None:
        self.console = Console(highlight=False)
        self.progress = Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[text]}"),
            TimeRemainingColumn(compact=True),
            console=self.console,
            transient=True,
        )

    def start(self, epochs: int, batches: int, progress: Position) -> None:
        """Show the bar."""
        self.epochs, self.batches = epochs, batches
        self.task: TaskID = self.progress.add_task(
            "", total=batches, completed=progress.batch, epoch=f"{progress.epoch + 1}/{epochs}", text=""
        )
        self.progress.start()

    def step(self, progress: Position, values: dict[str, float]) -> None:
        """Move the bar."""
        self.progress.update(self.task, completed=progress.batch, text=values_text(values))

    def epoch(
        self, epoch: int, train: dict[str, float], validation: dict[str, float] | None, seconds: float
    ) -> None:
        """Leave a line and start the bar again."""
        self.progress.console.print(epoch_text(epoch, self.epochs, train, validation, seconds))
        # `reset` replaces every field of the task.
        self.progress.reset(
            self.task, total=self.batches, epoch=f"{min(epoch + 1, self.epochs)}/{self.epochs}", text=""
        )

    def end(self, result: FitResult) -> None:
        """Take the bar away and print the result."""
        self.close()
        if result.test is not None:
            self.console.print(f"test: {values_text(result.test)}  ({result.seconds:.1f} s in all)")

    def close(self) -> None:
        """Take the bar away, whatever happened."""
        self.progress.stop()
