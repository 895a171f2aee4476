"""Testing derivatives: verdicts on gradients, and strategies for property tests."""

from __future__ import annotations

from .check import GradientWarning, assert_gradients, check_gradients
from .compare import Comparison, compare
from .report import Report, Row

__all__ = [
    "Comparison",
    "GradientWarning",
    "Report",
    "Row",
    "assert_gradients",
    "check_gradients",
    "compare",
]
