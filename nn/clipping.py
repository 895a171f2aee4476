"""Gradient clipping: between `loss.backward()` and `optimizer.step()`, a bound on the gradient."""

from __future__ import annotations

from math import hypot, isfinite
from typing import TYPE_CHECKING

from .module import Module
from .optimizer import check_positive, leaves

if TYPE_CHECKING:
    from autograd import Value

    from .optimizer import Parameters


def clip_by_value(parameters: Parameters, limit: float) -> None:
    """Cut each gradient off at -limit and limit; of a module, those that aren't frozen.

    Raises:
        TypeError, ValueError: as `Optimizer`, and if limit isn't > 0.

    """
    check_positive("clip_by_value", "limit", limit)
    for p in _trained(parameters, "clip_by_value"):
        p.grad = min(max(p.grad, -limit), limit)


def clip_by_norm(parameters: Parameters, limit: float) -> float:
    """Scale all gradients so that √(Σ grad²) is at most limit, and return what it was before.

    The direction stays. Of a module, the gradients are those that aren't frozen.

    Raises:
        TypeError, ValueError: as `Optimizer`, if limit isn't > 0, or if the norm is inf or nan.

    """
    check_positive("clip_by_norm", "limit", limit)
    trained = _trained(parameters, "clip_by_norm")
    norm = hypot(*[p.grad for p in trained])
    if not isfinite(norm):
        message = (
            f"clip_by_norm: the norm of the gradient is {norm!r}, which no factor can mend; "
            "autograd.diagnose(loss) says where it comes from"
        )
        raise ValueError(message)
    if norm > limit:
        for p in trained:
            p.grad *= limit / norm
    return norm


def _trained(parameters: Parameters, owner: str) -> list[Value]:
    found = leaves(parameters, owner)
    return parameters.trainable_parameters() if isinstance(parameters, Module) else found
