"""Scalar reverse-mode automatic differentiation that you can see into.

>>> from autograd import Value, tanh
>>> x = Value(0.5, "x")
>>> y = tanh(x * 2.0)
>>> y.backward()
>>> x.grad
0.8399486832280524
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import ops
from .backward import gradients
from .collector import no_collector
from .compile import compile  # noqa: A004  (the product's word)
from .define import define
from .draw import draw, stepper
from .kinks import kinks
from .op import REGISTRY, Interval, Kink, Op, find, ieee
from .ops import *  # noqa: F403  (every operation of the table, and nothing else: its __all__)
from .scopes import scope
from .steps import Path, Step, Steps, paths, steps
from .transforms import grad, hessian, hvp, jacobian, jvp, value_and_grad, vjp
from .value import Value

__all__ = [
    "REGISTRY",
    "Interval",
    "Kink",
    "Op",
    "Path",
    "Step",
    "Steps",
    "Value",
    "compile",
    "define",
    "diagnose",
    "draw",
    "grad",
    "gradients",
    "hessian",
    "hvp",
    "ieee",
    "jacobian",
    "jvp",
    "kinks",
    "no_collector",
    "paths",
    "scope",
    "stepper",
    "steps",
    "value_and_grad",
    "vjp",
]
__all__ += ops.__all__

__version__ = "0.1.0"

if TYPE_CHECKING:
    from .diagnosis import diagnose
else:  # a type checker would take every misspelt name for right

    def __getattr__(name: str) -> Any:
        # An operation that a user has defined is reached like ours: autograd.cube.
        if name in REGISTRY:
            return find(name)
        # These are imported when they are first asked for, to keep the start light.
        if name == "testing":
            return import_module("autograd.testing")
        if name == "diagnose":
            return import_module("autograd.diagnosis").diagnose
        message = f"module 'autograd' has no attribute {name!r}"
        raise AttributeError(message)
