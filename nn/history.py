"""What a training run leaves behind: a list per quantity, with one entry per finished epoch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(repr=False)
class History:
    """What `fit` returns, and its callbacks are handed after each epoch.

    `loss` and `metrics` are the means over an epoch's examples, each from the outputs that its own
    step has computed, so while the parameters were changing; the `validation_` lists are computed
    after the epoch. A loss has the penalty `l2` in it.

    `stopped` says what ended the run: "epochs", "until", "callback", "interrupted" (Ctrl-C) or
    "nan"; it is "" during the run. `diagnosis` is the text that says where a nan or inf came from.
    `compiled` says whether the steps were machine code; if not, `not_compiled` says why.
    """

    loss: list[float] = field(default_factory=list)
    validation_loss: list[float] = field(default_factory=list)
    metrics: dict[str, list[float]] = field(default_factory=dict)
    validation_metrics: dict[str, list[float]] = field(default_factory=dict)
    lr: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    records: list[Any] = field(default_factory=list)
    stopped: str = ""
    diagnosis: str | None = None
    compiled: bool = False
    not_compiled: str = ""

    @property
    def epochs(self) -> int:
        """How many epochs were finished."""
        return len(self.loss)

    @property
    def accuracy(self) -> list[float]:
        """The share of examples that were classified rightly; empty without such a metric."""
        return self.metrics.get("accuracy", [])

    @property
    def validation_accuracy(self) -> list[float]:
        """The accuracy on the validation part; empty without one."""
        return self.validation_metrics.get("accuracy", [])

    def latest(self) -> dict[str, float]:
        """Return the last epoch's figures by name: "loss", "accuracy", "validation loss", ..."""
        rows = {"loss": self.loss, **self.metrics, "validation loss": self.validation_loss}
        rows |= {f"validation {name}": row for name, row in self.validation_metrics.items()}
        return {name: row[-1] for name, row in rows.items() if row}

    def __str__(self) -> str:
        """Return the run in a few lines, as people tell it."""
        plural = "" if self.epochs == 1 else "s"
        lines = [f"{self.epochs} epoch{plural} in {sum(self.seconds):.3g} s{self._why()}"]
        for name, number in self.latest().items():
            shown = f"{number:.1%}" if name.endswith("accuracy") else f"{number:.4g}"
            first = f" (first epoch: {self.loss[0]:.4g})" if name == "loss" else ""
            lines.append(f"{name}: {shown}{first}")
        if self.diagnosis:
            lines.append(self.diagnosis)
        return "\n".join(lines)

    __repr__ = __str__  # a notebook shows it by itself

    def _why(self) -> str:
        return {
            "until": ", stopped where `until` was reached",
            "callback": ", stopped by a callback",
            "interrupted": ", interrupted",
            "nan": ", stopped by a number that isn't finite",
        }.get(self.stopped, "")
