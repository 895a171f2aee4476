"""A model's parameters in a file: JSON for people, safetensors for programs.

Both hold names and numbers and nothing else, so that nothing is executed when they are read:
`layer1.neuron2.w3` is a parameter; `standardize1.mean`, a list, belongs to what a module has
measured. Numbers come back to the last bit.
"""

from __future__ import annotations

import json
import os
from math import isfinite, isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from .module import Module

    Model = TypeVar("Model", bound=Module)
    Tensors = dict[str, float | list[float]]

_MOST_NAMED = 5  # differences of a kind that an error lists


def save(model: Module, path: str | os.PathLike[str]) -> None:
    """Write the model's parameters and statistics to `path`, a .json or .safetensors file.

    The file appears whole or not at all: it is written beside `path` and renamed.

    Raises:
        ValueError: if the file's name ends otherwise, or a Standardize isn't fitted.
        ImportError: if a .safetensors file is asked for and safetensors isn't installed.
        OSError: if it can't be written.

    """
    path = Path(path)
    content = _format_of(path).encode(_tensors(model))
    path = path.resolve()  # a link stays one
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def load(model: Model, path: str | os.PathLike[str]) -> Model:
    """Set the model's parameters and statistics from a file that `save` wrote; return the model.

    Raises:
        ValueError: if the file is damaged, or its names or sizes aren't the model's: the error
            says which; the model is as it was then.
        ImportError, OSError: as `save`.

    """
    path = Path(path)
    found = _format_of(path).decode(path.read_bytes(), path)
    differences = _differences(_tensors(model, check=False), found)
    if differences:
        message = f"{path.name} doesn't fit this {type(model).__name__}: {'; '.join(differences)}"
        raise ValueError(message)
    for name, parameter in model.named_parameters():
        parameter.data = found[name]
    for name, module, attribute in _statistics(model):
        setattr(module, attribute, found[name])
    return model


def _tensors(model: Module, *, check: bool = True) -> Tensors:
    tensors: Tensors = {name: p.data for name, p in model.named_parameters()}
    for name, module, attribute in _statistics(model):
        numbers = getattr(module, attribute)
        if check and any(map(isnan, numbers)):
            message = f"{name} is nan: fit {module.signature()} before its model is saved"
            raise ValueError(message)
        tensors[name] = numbers
    return tensors


def _statistics(model: Module) -> list[tuple[str, Module, str]]:
    return [
        (f"{path}.{attribute}" if path else attribute, module, attribute)
        for path, module in model.named_modules()
        for attribute in module.statistics
    ]


def _differences(wanted: Tensors, found: Tensors) -> list[str]:
    missing = [name for name in wanted if name not in found]
    unexpected = sorted(name for name in found if name not in wanted)
    sizes = [
        f"{name} is {_size(found[name])} in the file and {_size(wanted[name])} in the model"
        for name in wanted
        if name in found and _size(found[name]) != _size(wanted[name])
    ]
    kinds = (
        ("missing from the file", missing),
        ("in the file only", unexpected),
        ("different in size", sizes),
    )
    return [f"{kind}: {_listed(names)}" for kind, names in kinds if names]


def _size(x: float | list[float]) -> str:
    return f"a list of {len(x)}" if isinstance(x, list) else "a number"


def _listed(names: list[str]) -> str:
    more = len(names) - _MOST_NAMED
    shown = ", ".join(names[:_MOST_NAMED])
    return f"{shown} and {more} more" if more > 0 else shown


# --- the two formats ------------------------------------------------------------------------------


class _Format(NamedTuple):
    encode: Callable[[Tensors], bytes]
    decode: Callable[[bytes, Path], Tensors]


def _format_of(path: Path) -> _Format:
    if path.suffix not in _FORMATS:
        message = f"a model is saved as .json or .safetensors; got {path.name!r}"
        raise ValueError(message)
    return _FORMATS[path.suffix]


def _damaged(path: Path, why: object) -> ValueError:
    return ValueError(f"{path.name} is damaged, or no file that nn.save wrote: {why}")


def _to_json(tensors: Tensors) -> bytes:
    # JSON has no inf and no nan: these are written as text.
    def spelt(x: Any) -> Any:
        if isinstance(x, list):
            return list(map(spelt, x))
        return x if isfinite(x) else repr(x)

    document = {name: spelt(x) for name, x in tensors.items()}
    return json.dumps(document, indent=1, allow_nan=False).encode() + b"\n"


def _from_json(content: bytes, path: Path) -> Tensors:
    try:
        document = json.loads(content, parse_int=float)
    except (ValueError, RecursionError) as error:
        raise _damaged(path, error) from None
    if not isinstance(document, dict):
        raise _damaged(path, "it is no object of names and numbers")

    def read(name: str, x: Any) -> Any:
        if isinstance(x, list):
            return [read(name, part) if not isinstance(part, list) else bad(name) for part in x]
        if isinstance(x, float) or x in ("inf", "-inf", "nan"):
            return float(x)
        return bad(name)

    def bad(name: str) -> Any:
        raise _damaged(path, f"{name} is neither a number nor a list of numbers")

    return {name: read(name, x) for name, x in document.items()}


def _safetensors() -> Any:
    try:
        from safetensors import numpy  # noqa: PLC0415  (an extra)
    except ImportError:
        message = (
            ".safetensors files need the packages safetensors and numpy: "
            "pip install 'chainrule[train]', or save as .json"
        )
        raise ImportError(message) from None
    return numpy


def _to_safetensors(tensors: Tensors) -> bytes:
    format_ = _safetensors()
    import numpy as np  # noqa: PLC0415  (comes with the extra)

    content: bytes = format_.save({name: np.array(x, np.float64) for name, x in tensors.items()})
    return content


def _from_safetensors(content: bytes, path: Path) -> Tensors:
    format_ = _safetensors()
    from safetensors import SafetensorError  # noqa: PLC0415  (an extra)

    try:
        arrays = format_.load(content)
    except (SafetensorError, KeyError) as error:  # KeyError: a type that NumPy hasn't
        raise _damaged(path, error) from None
    for name, array in arrays.items():
        if array.ndim > 1 or array.dtype.kind != "f":
            raise _damaged(path, f"{name} is {array.dtype} of shape {array.shape}")
    return {name: array.astype(float).tolist() for name, array in arrays.items()}


_FORMATS = {
    ".json": _Format(_to_json, _from_json),
    ".safetensors": _Format(_to_safetensors, _from_safetensors),
}
