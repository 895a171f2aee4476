"""What the command trains: a table, the loss and the network that suit it, and how well it does."""

from __future__ import annotations

from importlib import import_module
from math import sqrt
from typing import TYPE_CHECKING, Any

from autograd import Value, mean

from .blocks import Sequential
from .csv import Table
from .data import split
from .fit import fit
from .layers import MLP
from .losses import loss as find_loss
from .normalize import Standardize
from .watch import watch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .history import History

SAMPLES = ("moons", "iris", "digits")
CLASSIFIERS = ("binary_cross_entropy", "cross_entropy", "hinge", "max_margin")
REGRESSORS = ("mse", "half_mse", "mae", "huber")

_RECTIFIERS = ("relu", "leaky_relu", "elu", "gelu", "silu")


def sample(name: str) -> Table:
    """Return one of scikit-learn's tables by name; the moons are those of micrograd's demo.

    Raises:
        ImportError: if scikit-learn isn't installed.

    """
    try:
        data = import_module("sklearn.datasets")
    except ImportError as error:
        message = f"{name} comes from scikit-learn ({error}): pip install scikit-learn"
        raise ImportError(message) from None
    if name == "moons":
        points, labels = data.make_moons(n_samples=100, noise=0.1, random_state=1337)
        return Table(["x", "y"], points.tolist(), labels.tolist(), "moon", ["upper", "lower"])
    found = data.load_iris() if name == "iris" else data.load_digits()
    names, classes = list(found.feature_names), list(map(str, found.target_names))
    return Table(names, found.data.tolist(), found.target.tolist(), name, classes)


class Task:
    """A table in two parts, and a network for it.

    Classes get one output each, and two classes one output together, but for cross_entropy. Targets
    that are numbers are standardised by the training part, like the inputs: target = mean + std ·
    output. `save` keeps the inputs' mean and standard deviation with the parameters.

    Raises:
        ValueError: if the loss doesn't suit the targets, or a part of the table would be empty.

    """

    history: History

    def __init__(  # noqa: PLR0913  (the command's options)
        self,
        table: Table,
        *,
        loss: str | None,
        widths: Sequence[int],
        activation: str,
        validation: float,
        seed: int,
    ) -> None:
        self.table = table
        self.loss = _loss(table, loss)
        is_binary = len(table.classes) == 2 and self.loss != "cross_entropy"  # noqa: PLR2004
        targets: list[Any] = table.y
        if is_binary and self.loss != "binary_cross_entropy":
            targets = [2 * label - 1 for label in targets]  # a margin's labels are -1 and 1
        self.X, self.y, self.held_X, self.held_y = split(table.X, targets, validation, seed)
        self.mean, self.std = 0.0, 1.0
        if not table.classes:
            self.mean = float(mean(self.y))
            self.std = sqrt(mean([(y - self.mean) ** 2 for y in self.y])) or 1.0
            self.y, self.held_y = (
                [(y - self.mean) / self.std for y in part] for part in (self.y, self.held_y)
            )
        nout = 1 if is_binary or not table.classes else len(table.classes)
        init = "he" if activation in _RECTIFIERS else "xavier"
        mlp = MLP(len(table.names), [*widths, nout], activation, init=init, seed=seed)
        self.model = Sequential(Standardize(len(table.names)).fit(self.X), mlp)

    def train(self, **options: Any) -> History:
        """Train the network, watched, with the options of `fit`; return the history."""
        with watch(self.model) as watching:
            self.history = fit(
                self.model,
                self.X,
                self.y,
                loss=self.loss,
                validation=(self.held_X, self.held_y),
                callbacks=[watching],
                **options,
            )
        return self.history

    def error(self) -> float:
        """Return √(mean squared error) on the validation part, in the unit of the target."""
        outputs = self.model.batch(self.held_X)
        squares = [(z.data - y) ** 2 for z, y in zip(outputs, self.held_y, strict=True)]
        return float(self.std * sqrt(mean(squares)))

    def example(self) -> Value:
        """Return one example's loss to draw: with gradients, and made of products and sums."""
        for module in self.model.modules():
            module.textbook = True
        loss = find_loss(self.loss)([self.model(self.X[0])], [self.y[0]])
        loss.label = "loss"
        loss.backward()
        return loss


def _loss(table: Table, name: str | None) -> str:
    if not table.classes:
        suitable: tuple[str, ...] = REGRESSORS
    elif len(table.classes) == 2:  # noqa: PLR2004  (yes and no)
        suitable = CLASSIFIERS
    else:
        suitable = CLASSIFIERS[1:]
    if name is None:
        return suitable[0]
    if name not in suitable:
        kind = f"{len(table.classes)} classes" if table.classes else "numbers"
        message = (
            f"{name} doesn't suit the target {table.target!r}, {kind}: {', '.join(suitable)} do"
        )
        raise ValueError(message)
    return name
