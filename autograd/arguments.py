"""What a function calls its arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def argument_names(f: Callable[..., Any], count: int) -> list[str]:
    """Return what f calls its first `count` positional arguments; x1, x2, … where it won't say."""
    from inspect import Parameter, signature  # noqa: PLC0415  (as long to import as the package)

    try:
        parameters = list(signature(f).parameters.values())
    except (TypeError, ValueError):  # some functions written in C have none
        parameters = []
    names: list[str] = []
    for p in parameters:
        if p.kind in (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD):
            names.append(p.name)
        elif p.kind is Parameter.VAR_POSITIONAL:
            names += [f"{p.name}[{i}]" for i in range(count - len(names))]
    names += [f"x{i + 1}" for i in range(len(names), count)]
    return names[:count]
