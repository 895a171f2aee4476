"""How far a training run is: a bar for people who watch, nothing for files and pipes."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .history import History

PATIENCE = 1.0  # seconds; what is done by then shows nothing
PAUSE = 0.1  # seconds between two looks of the bar


class Progress:
    """A bar over the steps of a run, with the latest loss and figures, and the time left.

    It appears when a second has gone by. `show` None means: where somebody watches, that is on a
    terminal or in a notebook. tqdm draws it; without tqdm it is a plain line.
    """

    def __init__(self, history: History, epochs: int, steps: int, *, show: bool | None) -> None:
        self.history = history
        self._epochs = epochs
        self._total = epochs * steps
        self._show = is_watched() if show is None else show
        self._done = self._counted = 0
        self._loss = 0.0
        self._next = time.monotonic() + PATIENCE
        self._bar: Any = None

    def step(self, loss: float) -> None:
        """Count a step; `loss` is the mean of the epoch so far."""
        self._done += 1
        if self._show and (now := time.monotonic()) > self._next:
            self._next = now + PAUSE
            self._loss = loss
            self._draw()

    def _draw(self) -> None:
        if self._bar is None:
            self._bar = _bar(self._total, self._done)
            self._counted = self._done
        epoch = min(self.history.epochs + 1, self._epochs)
        figures = {**self.history.latest(), "loss": self._loss}
        self._bar.set_description_str(f"epoch {epoch}/{self._epochs}", refresh=False)
        self._bar.set_postfix({name: f"{x:.4g}" for name, x in figures.items()}, refresh=False)
        self._bar.update(self._done - self._counted)
        self._counted = self._done

    def close(self) -> None:
        """Leave the bar as the run has ended; what is printed next begins a line of its own."""
        if self._bar is not None:
            self._loss = self.history.loss[-1] if self.history.loss else self._loss
            self._draw()
            self._bar.close()


def is_watched() -> bool:
    """Say whether this is a notebook, or a terminal to which all output goes."""
    return _in_notebook() or all(
        stream is not None and stream.isatty() for stream in (sys.stdout, sys.stderr)
    )


def _in_notebook() -> bool:
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return getattr(shell, "kernel", None) is not None


def _bar(total: int, done: int) -> Any:
    # Text in notebooks, too: tqdm's widget needs ipywidgets, and is gone from a saved notebook,
    # where standard error has a red background.
    file = sys.stdout if _in_notebook() else sys.stderr
    try:
        from tqdm import tqdm  # noqa: PLC0415  (only a run that lasts needs it)
    except ImportError:
        return _Line(total, done, file)
    return tqdm(
        total=total, initial=done, file=file, unit="step", dynamic_ncols=True, mininterval=0.0
    )


class _Line:
    """As much of tqdm's bar as is used here, in one line of text."""

    def __init__(self, total: int, done: int, file: Any) -> None:
        self._total = total
        self._first = self._done = done
        self._file = file
        self._start = time.monotonic()
        self._description = self._figures = ""

    def set_description_str(self, text: str, *, refresh: bool) -> None:  # noqa: ARG002  (as tqdm's)
        self._description = text

    def set_postfix(self, figures: dict[str, str], *, refresh: bool) -> None:  # noqa: ARG002  (as tqdm's)
        self._figures = ", ".join(f"{name} {number}" for name, number in figures.items())

    def update(self, steps: int) -> None:
        self._done += steps
        pace = (time.monotonic() - self._start) / max(self._done - self._first, 1)
        left = pace * (self._total - self._done)
        line = f"{self._description}, {left:.0f} s left: {self._figures}"
        self._file.write(f"\r{line:<79.79}")
        self._file.flush()

    def close(self) -> None:
        self._file.write("\n")
        self._file.flush()
