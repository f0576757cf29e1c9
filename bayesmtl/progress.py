"""How far a fit has come, shown on the terminal."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeRemainingColumn,
)

if TYPE_CHECKING:
    from bayesmtl import chains


@contextmanager
def shown(title: str, console: Console | None = None) -> "Iterator[chains.Watch]":
    """Show one bar over all chains on stderr; in a pipe or a file only a line at the end.

    Until the first draw a spinner turns, while the model is checked and its program compiled.
    """
    console = console or Console(stderr=True, highlight=False)
    began = time.monotonic()
    last: chains.Progress | None = None
    columns = (
        SpinnerColumn(finished_text=" "),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        TextColumn("{task.fields[words]}", markup=False),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    with Progress(*columns, console=console, disable=not (console.is_terminal or console.is_jupyter)) as bar:
        row = bar.add_task(title, total=None, words="starting")

        def watch(progress: "chains.Progress") -> None:
            nonlocal last
            last = progress
            done = sum(progress.done)
            bar.update(row, completed=done, total=progress.total, words=words(progress))

        try:
            yield watch
        except BaseException:
            bar.update(row, visible=False)  # what went wrong says more
            raise
    if last is not None and not console.is_terminal:
        seconds = time.monotonic() - began
        console.print(f"{title}: {words(last)}, {seconds:.0f} s", markup=False, soft_wrap=True)


@contextmanager
def busy(title: str) -> Iterator[None]:
    """Turn a spinner on stderr while something takes its time; nothing in a pipe or a file."""
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield
        return
    with console.status(title):
        yield


@contextmanager
def counted(title: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show on stderr how many of some runs are done; in a pipe or a file nothing."""
    console = Console(stderr=True, highlight=False)
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=30), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal) as bar:
        row = bar.add_task(title, total=total)
        yield lambda done: bar.update(row, completed=done)


def words(progress: "chains.Progress") -> str:
    """Where a run stands: its engine, its stage, the draws it has kept so far, and what went wrong.

    Examples
    --------
    >>> from types import SimpleNamespace as Run
    >>> size = {"chains": 2, "warmup": 10, "draws": 50, "done": [10, 30]}
    >>> run = Run(engine="nuts", **size, divergences=1, stopped=False, approximate=False)
    >>> words(run)
    'nuts, sampling, 20 of 100 draws, 1 divergence'
    """
    drawn = sum(max(done - progress.warmup, 0) for done in progress.done)
    total = progress.chains * progress.draws
    if progress.stopped:
        stage = "stopped"
    elif drawn == total:
        stage = "done"
    else:
        stage = "warm-up" if min(progress.done) < progress.warmup else "sampling"
    draws = f"{drawn:,} draws" if drawn == total else f"{drawn:,} of {total:,} draws"
    noun = "divergence" if progress.divergences == 1 else "divergences"
    wrong = "" if progress.approximate else f", {progress.divergences} {noun}"
    return f"{progress.engine}, {stage}, {draws}{wrong}"
