"""Losses: how far a batch's outputs are from their targets, as one Value.

A loss takes a list with one output per example and a list with one target per example. It returns
the mean over the batch, so that gradients don't grow with the batch.

>>> from autograd import Value
>>> y = Value(1.5)
>>> loss = half_mse([y], [1.0])
>>> loss.backward()
>>> loss.data, y.grad
(0.125, 0.5)

These are plain functions of (outputs, targets). One of your own goes wherever one of them goes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import reduce
from math import fsum, isclose
from typing import Any

from autograd import Value, clip, dot, logsumexp, maximum, mean, relu, softplus, square
from autograd import sum as total

from .activations import unknown
from .labels import (
    check_classes,
    class_label,
    is_list,
    pair_examples,
    pair_numbers,
    probability,
    sign_label,
)

Loss = Callable[[Any, Any], Value]

# --- regression -----------------------------------------------------------------------------------


def mse(outputs: Collection[Any], targets: Collection[Any]) -> Value:
    """Return the mean squared error, the mean of (y - t)².

    Output y and target t are numbers, or lists of one length; the mean is over all numbers.

    Raises:
        TypeError: if outputs or targets aren't lists.
        ValueError: if they are empty or their sizes differ.

    """
    return _mean([square(y - t) for y, t in pair_numbers("mse", outputs, targets)])


def half_mse(outputs: Collection[Any], targets: Collection[Any]) -> Value:
    """Return the mean of ½(y - t)², half of `mse`: for a single number the derivative is y - t.

    Arguments and errors are those of `mse`.
    """
    return _mean([0.5 * square(y - t) for y, t in pair_numbers("half_mse", outputs, targets)])


def mae(outputs: Collection[Any], targets: Collection[Any]) -> Value:
    """Return the mean absolute error, the mean of |y - t|; at y = t its derivative is taken as 0.

    Arguments and errors are those of `mse`.
    """
    return _mean([abs(y - t) for y, t in pair_numbers("mae", outputs, targets)])


def huber(outputs: Collection[Any], targets: Collection[Any], delta: float = 1.0) -> Value:
    """Return the mean of ½e² where |e| <= delta and delta·(|e| - ½delta) elsewhere, e = y - t.

    Outliers pull with a force of delta at most (P. J. Huber, Robust Estimation of a Location
    Parameter, 1964). Other arguments and errors are those of `mse`.

    Raises:
        ValueError: if delta isn't > 0.

    """
    if not delta > 0.0:
        message = f"huber: delta must be > 0; got {delta!r}"
        raise ValueError(message)
    errors = [y - t for y, t in pair_numbers("huber", outputs, targets)]
    return _mean([_huber_of(e, delta) for e in errors])


def _huber_of(e: Any, delta: float) -> Any:
    # c·(e - ½c) is ½e² for c = e and delta·(|e| - ½delta) for c = ±delta. Choosing between the two
    # by `where` would compute both, and e² overflows where it isn't wanted.
    c = clip(e, -delta, delta)
    return c * (e - 0.5 * c)


# --- classification by probability ----------------------------------------------------------------


def binary_cross_entropy(logits: Collection[Any], targets: Collection[Any]) -> Value:
    """Return the mean of -t·log σ(z) - (1 - t)·log(1 - σ(z)), logit z, label t 0 or 1.

    A logit is an output *before* the sigmoid: from there, no probability is rounded to 0 before its
    logarithm is taken. Probabilities can't be told from small logits, so that there is no error if
    they come instead: leave the sigmoid out of the model that is trained with this. A target may
    be a probability, too; for several yes-or-no answers per example, logits and targets are lists.

    Raises:
        TypeError: if logits or targets aren't lists, or a label isn't a plain number.
        ValueError: if they are empty or their sizes differ, or a label isn't from 0 to 1.

    """
    name = "binary_cross_entropy"
    pairs = pair_numbers(name, logits, targets)
    return _mean([_binary_of(z, probability(name, t)) for z, t in pairs])


def _binary_of(z: Any, t: float) -> Any:
    # -log σ(z) is softplus(-z), and -log(1 - σ(z)) is softplus(z).
    if t == 0.0:
        return softplus(z)
    if t == 1.0:
        return softplus(-z)
    return t * softplus(-z) + (1.0 - t) * softplus(z)


def cross_entropy(logits: Collection[Any], targets: Collection[Any]) -> Value:
    """Return the mean of -log softmax(z)ₜ = logsumexp(z) - zₜ, logits z, class t from 0 on.

    Instead of a class, a target may be the list p of the classes' probabilities, such as one-hot;
    then it is the mean of logsumexp(z) - p · z. As with `binary_cross_entropy`, there is no error
    if probabilities come instead of logits: leave the softmax out of the model.

    Raises:
        TypeError: if logits or targets aren't lists, or a class isn't a plain number.
        ValueError: if they are empty or their sizes differ, a class is out of range, or
            probabilities are negative or don't add up to 1.

    """
    pairs = enumerate(pair_examples("cross_entropy", logits, targets))
    return _mean([_cross_entropy_of(i, z, t) for i, (z, t) in pairs])


def _cross_entropy_of(i: int, z: Any, t: Any) -> Any:
    name = "cross_entropy"
    check_classes(name, i, z, "binary_cross_entropy")
    if not is_list(t):
        return logsumexp(z) - z[class_label(name, i, t, len(z))]
    p = [probability(name, x) for x in t]
    if len(p) != len(z) or not isclose(fsum(p), 1.0, rel_tol=1e-6):
        message = (
            f"{name}: targets[{i}] must be a class or {len(z)} probabilities that add up to 1; "
            f"got {t!r}"
        )
        raise ValueError(message)
    return logsumexp(z) - dot(p, z)


# --- classification by margin ---------------------------------------------------------------------


def hinge(scores: Collection[Any], targets: Collection[Any]) -> Value:
    """Return the mean of max(0, 1 - t·s), score s, label t -1 or 1.

    Where an output is a list of scores, one for each class, the label t is the class, from 0 on,
    and it is the mean of Σ max(0, 1 + sⱼ - sₜ) over the other classes j (J. Weston and C. Watkins,
    Support Vector Machines for Multi-Class Pattern Recognition, 1999).

    Raises:
        TypeError: if scores or targets aren't lists, or a label isn't a plain number.
        ValueError: if they are empty or their sizes differ, or a label is none of those.

    """
    return _margin_loss("hinge", scores, targets, _hinge_of)


def max_margin(scores: Collection[Any], targets: Collection[Any]) -> Value:
    """Return the mean of max(0, 1 - t·s), as `hinge`; of several classes only the worst counts.

    There it is the mean of max(0, 1 + sⱼ - sₜ), j the other class with the highest score (K.
    Crammer and Y. Singer, On the Algorithmic Implementation of Multiclass Kernel-based Vector
    Machines, 2001). Arguments and errors are those of `hinge`.
    """
    return _margin_loss("max_margin", scores, targets, _max_margin_of)


def _hinge_of(right: Any, others: list[Any]) -> Any:
    return total([relu(s - right + 1.0) for s in others])


def _max_margin_of(right: Any, others: list[Any]) -> Any:
    return relu(reduce(maximum, others) - right + 1.0)


def _margin_loss(
    name: str,
    scores: Collection[Any],
    targets: Collection[Any],
    of_classes: Callable[[Any, list[Any]], Any],
) -> Value:
    terms = []
    for i, (s, t) in enumerate(pair_examples(name, scores, targets)):
        if not is_list(s):
            # Value first, number second: Python's reflected operators take twice as long.
            terms.append(relu(s * -sign_label(name, i, t) + 1.0))
            continue
        check_classes(name, i, s, "a number instead of a list")
        right = class_label(name, i, t, len(s))
        others = [x for j, x in enumerate(s) if j != right]
        terms.append(of_classes(s[right], others))
    return _mean(terms)


# --- by name --------------------------------------------------------------------------------------

LOSSES: dict[str, Loss] = {
    "mse": mse,
    "half_mse": half_mse,
    "mae": mae,
    "huber": huber,
    "binary_cross_entropy": binary_cross_entropy,
    "cross_entropy": cross_entropy,
    "hinge": hinge,
    "max_margin": max_margin,
}
"""Every loss that has a name."""


def loss(function: str | Loss) -> Loss:
    """Return the loss of that name; a function is returned as it is.

    Raises:
        ValueError: if no loss has that name.
        TypeError: if `function` is neither text nor a function.

    """
    if callable(function):
        return function
    if not isinstance(function, str):
        message = (
            "loss must be a name, such as 'mse', or a function of (outputs, targets); "
            f"got {function!r}"
        )
        raise TypeError(message)
    if function not in LOSSES:
        raise unknown("loss", function, LOSSES)
    return LOSSES[function]


def _mean(terms: list[Any]) -> Value:
    result = mean(terms)
    return result if isinstance(result, Value) else Value(result)
