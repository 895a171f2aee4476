"""Normalising inputs and, by the batch, what flows between layers."""

from __future__ import annotations

from math import isnan, sqrt
from typing import Any, ClassVar, Self

import autograd
from autograd import Value

from .module import Module, check_size, check_width, name_parts, vector


class BatchNorm(Module):
    """scale · (x - mean) / √(variance + eps) + shift, for each of n features.

    In training, mean and variance are those of the batch, through which gradients flow; running
    averages of them (of the unbiased variance) serve in evaluation, new = (1 - momentum) · old +
    momentum · batch. Scales (at first 1) and shifts (0) are trained. Ioffe and Szegedy, Batch
    normalization (2015), with PyTorch's running averages.
    """

    statistics: ClassVar[tuple[str, ...]] = ("mean", "variance")

    def __init__(self, n: int, *, momentum: float = 0.1, eps: float = 1e-5) -> None:
        self.n = check_width("BatchNorm", "n", n)
        self.momentum = momentum
        self.eps = eps
        self.scales = [Value(1.0) for _ in range(n)]
        self.shifts = [Value(0.0) for _ in range(n)]
        self.mean = [0.0] * n
        self.variance = [1.0] * n
        name_parts(self)

    def forward(self, x: Any) -> Any:
        """Return x normalised by the running averages: in evaluation."""
        if self.training:
            message = (
                f"{self.signature()} has no statistics of a single row in training: "
                "call model.batch(rows), or model.eval() first"
            )
            raise ValueError(message)
        return self._normalized([x], self.mean, self.variance)[0]

    def forward_batch(self, rows: list[Any]) -> list[Any]:
        """Return all rows, normalised by their own mean and variance in training."""
        if not self.training:
            return self._normalized(rows, self.mean, self.variance)
        if len(rows) < 2:  # noqa: PLR2004  (one row has no variance)
            message = f"{self.signature()} needs at least 2 rows in training; got {len(rows)}"
            raise ValueError(message)
        columns = self._columns(rows)
        means = [autograd.mean(column) for column in columns]
        variances = [
            autograd.mean([autograd.square(x - mean) for x in column])
            for column, mean in zip(columns, means, strict=True)
        ]
        outputs = self._normalized(rows, means, variances)
        unbiased = len(rows) / (len(rows) - 1)
        self.mean = self._averaged(self.mean, means, 1.0)
        self.variance = self._averaged(self.variance, variances, unbiased)
        return outputs

    def _columns(self, rows: list[Any]) -> list[tuple[Any, ...]]:
        vectors = list(map(vector, rows))
        for x in vectors:
            check_size(self, x, self.n)
        return list(zip(*vectors, strict=True))

    def _normalized(self, rows: list[Any], means: list[Any], variances: list[Any]) -> list[Any]:
        columns = [
            [(x - mean) * factor + shift for x in column]
            for column, mean, factor, shift in zip(
                self._columns(rows), means, self._factors(variances), self.shifts, strict=True
            )
        ]
        outputs = [list(row) for row in zip(*columns, strict=True)]
        return [y if hasattr(x, "__len__") else y[0] for x, y in zip(rows, outputs, strict=True)]

    def _factors(self, variances: list[Any]) -> list[Any]:
        pairs = zip(self.scales, variances, strict=True)
        return [scale / autograd.sqrt(variance + self.eps) for scale, variance in pairs]

    def _averaged(self, old: list[float], new: list[Any], correction: float) -> list[float]:
        return [
            (1.0 - self.momentum) * a + self.momentum * correction * _number(b)
            for a, b in zip(old, new, strict=True)
        ]

    def signature(self) -> str:
        """Return the call that makes such a normalisation, but for its options."""
        return f"BatchNorm({self.n})"


class Standardize(Module):
    """(x - mean) / std for each of n features, as measured once by `fit(X)`; nothing is trained.

    A feature that is constant in X has std 1, so that it becomes 0.
    """

    statistics: ClassVar[tuple[str, ...]] = ("mean", "std")

    def __init__(self, n: int) -> None:
        self.n = check_width("Standardize", "n", n)
        self.mean = [float("nan")] * n
        self.std = [float("nan")] * n

    def fit(self, X: Any) -> Self:  # noqa: N803  (what training data is called)
        """Measure mean and standard deviation (divided by the number of rows) of each feature.

        Raises:
            ValueError: if there is no row, or one with another number of features.

        """
        rows = list(map(vector, X))
        if not rows:
            message = "Standardize.fit(X) needs at least one row"
            raise ValueError(message)
        for row in rows:
            check_size(self, row, self.n)
        columns = [list(map(float, column)) for column in zip(*rows, strict=True)]
        self.mean = [autograd.mean(column) for column in columns]
        self.std = [
            sqrt(autograd.mean([(x - mean) ** 2 for x in column])) or 1.0
            for column, mean in zip(columns, self.mean, strict=True)
        ]
        return self

    def forward(self, x: Any) -> Any:
        """Return the standardised x.

        Raises:
            ValueError: before `fit`.

        """
        if isnan(self.mean[0]):
            message = f"{self.signature()} isn't fitted: call its fit(X) with the training rows"
            raise ValueError(message)
        numbers = vector(x)
        check_size(self, numbers, self.n)
        outputs = [
            (a - mean) / std for a, mean, std in zip(numbers, self.mean, self.std, strict=True)
        ]
        return outputs if hasattr(x, "__len__") else outputs[0]

    def signature(self) -> str:
        """Return the call that makes such a standardisation."""
        return f"Standardize({self.n})"


def _number(x: Any) -> float:
    number: float = x.data if type(x) is Value else x
    return number
