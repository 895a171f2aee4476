"""What is wrong with a training run, in words, with the figures and with what to try.

A healthy run must pass in silence. So each threshold is away from what healthy runs show: beside it
stands the extreme of 200 of them, of four small networks on 50 sets of moons. Another 200, on sets
that had no part in this, gave no false alarm; tests/test_nn_diagnose.py repeats 50 of them. Larger
networks and other data may have other bounds.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from .history import History

    Figures = dict[str, float]

# Five sigmoids, whose slope is at most 1/4, take this much: 0.25⁵. Healthy: at least 0.2.
VANISHED = 1e-3
# An untrained network is no better than a guess; training made this one ten times as bad. Healthy:
# at most 1.7 times the first epoch's loss.
WORSE = 10.0
# A step ten times as long as the weights leaves nothing of them. Healthy: at most 1.7 by epoch, and
# usually 0.001 to 0.1.
OVERWRITTEN = 10.0
# Some dead units are usual: narrow layers learned well with up to 5 of 8. Here 3 of 4 are dead.
DEAD = 0.75
# So many examples it takes to call a unit dead: one that is on for one in five shows by then.
FEW_EXAMPLES = 20
# In half of the run the loss fell by less than 1 %, healthy: at least 3 %; and of the first loss
# four fifths are left, healthy: at most 0.65. In fewer epochs than 10 any run may look flat.
FLAT = 0.01
STILL_HIGH = 0.8
FEW_EPOCHS = 10
# Validation losses waver, by up to 70 % from one epoch to the next; but healthy ones come back to
# within 5 % of their best in the last fifth of the run.
RISEN = 0.2
TAIL = 5


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: the `problem`, the `figures` that show it, and `cures` to try."""

    problem: str
    text: str
    figures: Figures
    cures: tuple[str, ...]

    def __str__(self) -> str:
        """Return it in two lines."""
        return f"{self.problem}: {self.text}\n  try: {'; '.join(self.cures)}"


@dataclass(frozen=True)
class Diagnosis:
    """All `findings`; false when there are none, as in a healthy run."""

    findings: tuple[Finding, ...]
    watched: bool

    def __bool__(self) -> bool:
        return bool(self.findings)

    def __str__(self) -> str:
        """Return what is wrong and what to try, the likely cause first."""
        if self.findings:
            return "\n".join(map(str, self.findings))
        if self.watched:
            return "nothing is wrong with this run"
        return "nothing is wrong with the losses of this run; its layers weren't watched"


def diagnose(history: History) -> Diagnosis:
    """Say what is wrong with a training run, from its losses and, if it was watched, its records.

    The problems are "exploding gradients", "vanishing gradients", "dead neurons", "plateau" and
    "overfitting". The middle one and vanishing gradients are seen in `history.records` only: watch
    the model (`nn.watch`). After a loop of your own, `History(loss=losses,
    records=watching.records)` makes the history.
    """
    found = [check(history) for check in CHECKS]
    return Diagnosis(tuple(f for f in found if f), watched=bool(history.records))


# --- the checks, causes before what they cause ----------------------------------------------------


def _exploding(history: History) -> Finding | None:
    figures: Figures = {}
    signs = []
    if history.stopped == "nan" or not all(map(isfinite, history.loss)):
        signs.append("a number became inf or nan")
    elif history.loss and max(history.loss) > WORSE * abs(history.loss[0]):
        figures |= {"first loss": history.loss[0], "largest loss": max(history.loss)}
        signs.append(f"the loss rose from {history.loss[0]:.3g} to {max(history.loss):.3g}")
    # The first step may well be longer than the weights: they begin small, perhaps with 0.
    changes = _extremes(history, "update_ratio")[1:]
    if changes and (largest := max(changes))[0] > OVERWRITTEN:
        figures["update ratio"] = largest[0]
        signs.append(f"a step changed {largest[1]} by {largest[0]:.3g} times its size")
    if not signs:
        return None
    if norms := _extremes(history, "gradient_norm"):
        norm, layer = max(norms)
        figures |= {"first gradient norm": norms[0][0], "largest gradient norm": norm}
        signs.append(f"the largest gradient norm was {norm:.3g}, in {layer}")
    if history.diagnosis:
        signs.append(history.diagnosis)
    cures = (
        "a lower lr",
        "clipping: fit(clip=1.0) or clip_by_norm",
        "smaller initial weights: init='xavier' or 'he'",
        "BatchNorm",
        "standardised inputs and targets",
    )
    return Finding("exploding gradients", "; ".join(signs), figures, cures)


def _vanishing(history: History) -> Finding | None:
    # A network whose ReLUs are dead passes no gradient on either, for another reason.
    if _dead_share(history)[0] == 1.0:
        return None
    pairs = []
    for record in history.records:
        norms = [(r.gradient_norm, name) for name, r in record.items() if r.weight_norm is not None]
        if len(norms) > 1 and norms[-1][0] > 0.0:
            pairs.append((norms[0][0] / norms[-1][0], norms[0], norms[-1]))
    if not pairs:
        return None
    ratio = median(pair[0] for pair in pairs)
    if not ratio < VANISHED:
        return None
    _, (first, first_layer), (last, last_layer) = min(pairs, key=lambda p: abs(p[0] - ratio))
    text = (
        f"the gradient of {first_layer} is {ratio:.2g} of that of {last_layer} "
        f"(norms {first:.2g} and {last:.2g}; the median of {len(pairs)} records)"
    )
    cures = (
        "relu in the place of sigmoid or tanh",
        "init='xavier', for relu 'he'",
        "BatchNorm between the layers",
        "Residual around them",
    )
    figures = {"ratio": ratio, "first layer": first, "last layer": last}
    return Finding("vanishing gradients", text, figures, cures)


def _dead(history: History) -> Finding | None:
    share, dead, units, layer = _dead_share(history)
    if share < DEAD:
        return None
    text = f"{dead} of the {units} units in {layer} were 0 on every example, and got no gradient"
    figures = {"dead": float(dead), "units": float(units), "share": share}
    cures = (
        "leaky_relu in the place of relu",
        "init='he'",
        "a lower lr",
        "inputs that are standardised",
    )
    return Finding("dead neurons", text, figures, cures)


def _plateau(history: History) -> Finding | None:
    losses = history.loss
    if len(losses) < FEW_EPOCHS or not all(map(isfinite, losses)) or not losses[0] > 0.0:
        return None
    half = len(losses) // 2
    fall = 1.0 - min(losses[half:]) / min(losses[:half])
    left = losses[-1] / losses[0]
    if not (fall < FLAT and STILL_HIGH < left < WORSE):
        return None
    text = (
        f"after {len(losses)} epochs {left:.0%} of the first loss are left ({losses[0]:.4g}, now "
        f"{losses[-1]:.4g}), and the second half brought {max(fall, 0.0):.1%}"
    )
    cures = (
        "momentum: SGD(momentum=0.9)",
        "RMSprop or Adam",
        "another lr",
        "other initial weights; or X says no more about y",
    )
    return Finding("plateau", text, {"fall": fall, "left": left}, cures)


def _overfitting(history: History) -> Finding | None:
    held, losses = history.validation_loss, history.loss
    if len(held) < FEW_EPOCHS or len(held) != len(losses):
        return None
    best = min(held)
    epoch = held.index(best)
    tail = min(held[-(len(held) // TAIL) :])
    if not (tail > (1.0 + RISEN) * best and losses[-1] < losses[epoch]):
        return None
    text = (
        f"the validation loss rose from {best:.4g} in epoch {epoch + 1} to {held[-1]:.4g}, while "
        f"the training loss fell from {losses[epoch]:.4g} to {losses[-1]:.4g}"
    )
    figures = {
        "best validation loss": best,
        "last validation loss": held[-1],
        "loss": losses[-1],
        "best epoch": float(epoch + 1),
    }
    cures = ("Dropout", "L2: fit(l2=0.001)", "more data", f"stopping after {epoch + 1} epochs")
    return Finding("overfitting", text, figures, cures)


CHECKS: tuple[Callable[[History], Finding | None], ...] = (
    _exploding,
    _vanishing,
    _dead,
    _plateau,
    _overfitting,
)


# --- from the records -----------------------------------------------------------------------------


def _extremes(history: History, quantity: str) -> list[tuple[float, str]]:
    # For each record the layer where the quantity is largest.
    rows = (
        [(getattr(layer, quantity), name) for name, layer in record.items()]
        for record in history.records
    )
    rows = ([pair for pair in row if pair[0] is not None] for row in rows)
    return [max(row) for row in rows if row]


def _dead_share(history: History) -> tuple[float, int, int, str]:
    # Of the layer with the largest share: the share, dead units, units, and its name.
    recent = history.records[-max(1, len(history.records) // 10) :]
    worst = (0.0, 0, 0, "")
    for name in recent[-1] if recent else ():
        layers = [record[name] for record in recent]
        units = len(layers[-1].silent)
        if units == 0 or sum(layer.examples for layer in layers) < FEW_EXAMPLES:
            continue
        columns = zip(*(layer.silent for layer in layers), strict=False)
        dead = sum(all(share == 1.0 for share in column) for column in columns)
        worst = max(worst, (dead / units, dead, units, name))
    return worst
