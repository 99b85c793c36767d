"""How long work looks on the terminal: one bar on stderr, so that stdout stays clean for results."""

from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from training.fit import Epoch

console = Console(stderr=True, highlight=False)


def bar() -> Progress:
    """A bar of "description, done/total, time left" that disappears when it is finished; none where nobody watches."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


class FitBar:
    """A bar for the batches of the epoch under way, and a line for each epoch that is complete.

    `form` is how the metric is written: ".2%" for a share.
    """

    def __init__(self, epochs: int, form: str) -> None:
        self._epochs, self._form, self._bar = epochs, form, bar()
        self._task = self._bar.add_task(f"epoch 1/{epochs}", total=None)

    def __enter__(self) -> "FitBar":
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def batch(self, done: int, batches: int) -> None:
        """Moves the bar."""
        self._bar.update(self._task, completed=done, total=batches)

    def epoch(self, epoch: "Epoch", best: bool) -> None:
        """Prints the epoch's losses and scores and begins the next bar."""
        console.print(
            f"epoch {epoch.number:>3}/{self._epochs}  training {epoch.loss:.4f} {epoch.score:{self._form}}  "
            f"validation {epoch.val_loss:.4f} {epoch.val_score:{self._form}}  {epoch.seconds:.1f} s"
            + ("  [green]best[/green]" if best else ""),
            soft_wrap=True,
        )
        self._bar.reset(
            self._task, description=f"epoch {min(epoch.number + 1, self._epochs)}/{self._epochs}", total=None
        )
