"""Compiled functions on their way into another process: with their programs, and if it can, f.

The programs always travel, their machine code too where it is small: a processor of the same kind
runs it as it is, any other compiles the tape. The function is needed only for what hasn't been
traced yet. It travels as pickle does it, by its name; a lambda or a function of a script does where
cloudpickle is around, as it is in joblib, Dask and Ray. Otherwise what arrives says so when the
function is asked for.
"""

from __future__ import annotations

import pickle
import sys
from types import FunctionType
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from autograd import transforms

from .fingerprint import reachable_leaves
from .structure import size

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from autograd.value import Value

    from .compiled import Compiled, Path
    from .options import Options
    from .trace import Traced

BY_VALUE = ("cloudpickle", "joblib.externals.cloudpickle", "ray.cloudpickle")
"""Modules that pickle functions with their code; whichever is there, the receiver has it, too."""

TRANSFORMS = ("grad", "value_and_grad", "jacobian")


class Absent:
    """In the place of a function that could not travel."""

    def __init__(self, name: str, problem: str) -> None:
        self.__name__ = self.__qualname__ = name
        self.problem = problem

    def __call__(self, *_: Any) -> NoReturn:
        """Say what is missing, and what to do.

        Raises:
            RuntimeError: always.

        """
        message = (
            f"the function {self.__name__} didn't come along with what was compiled of it "
            f"({self.problem}), and these arguments need it: they have another structure, decide "
            "otherwise, or are Values. Define it in a module that both processes import, install "
            "cloudpickle, or call the compiled function once for each such case before it is sent"
        )
        raise RuntimeError(message)


class Parcel(NamedTuple):
    """A function packed: either itself, or as bytes with its leaves; and the transforms of it."""

    f: Any
    packed: bytes | None
    derived: list[tuple[str, Any]]
    name: str
    problem: str


class Sent(NamedTuple):
    """A program: the structures of its arguments, its trace and its machine code.

    What the trace has captured is given as places among the leaves that travel beside it. `careful`
    is the program for what isn't finite, if it has been needed.
    """

    key: Any
    traced: Traced
    carried: dict[str, Any]
    careful: Sent | None


def pack(compiled: Compiled) -> tuple[Any, ...]:
    """Return what `Compiled.__reduce__` returns."""
    place: dict[Value, int] = {}
    every = compiled._paths.items()  # noqa: SLF001  (its own transport)
    sent = [_pack_path(key, path, place) for key, own in every for path in own]
    leaves = list(place)
    parcel = _pack_function(compiled.f, leaves)
    return unpack, (parcel, compiled.options, compiled.labels, leaves, sent)


def _pack_path(key: Any, path: Path, place: dict[Value, int]) -> Sent:
    traced, careful = path.program.traced, path.careful
    places: list[Any] = [place.setdefault(x, len(place)) for x in traced.captured]
    return Sent(
        key,
        traced._replace(captured=places),
        path.program.carried,
        _pack_path(key, careful, place) if careful else None,
    )


def unpack(
    parcel: Parcel, options: Options, labels: list[str], leaves: list[Value], sent: list[Sent]
) -> Compiled:
    """Return the compiled function that was packed."""
    from .compiled import Compiled  # noqa: PLC0415  (compiled imports this module)

    f, leaves = _unpack_function(parcel, leaves)
    compiled = Compiled(f, options)
    compiled.labels = labels
    known = set(leaves) if isinstance(f, Absent) else set(reachable_leaves(f))
    for one in sent:
        # Otherwise f is a name, and what it names has leaves of its own here: it is traced.
        if all(leaves[i] in known for i in one.traced.captured):
            path = _unpack_path(one, options, leaves)
            compiled._paths.setdefault(one.key, []).append(path)  # noqa: SLF001  (its own transport)
    return compiled


def _unpack_path(sent: Sent, options: Options, leaves: list[Value]) -> Path:
    from .compiled import Path  # noqa: PLC0415  (compiled imports this module)
    from .program import Program  # noqa: PLC0415  (as above)

    traced: Any = sent.traced
    traced = traced._replace(captured=[leaves[i] for i in traced.captured])
    program = Program(traced, [*map(size, sent.key)], options)
    program.carried = sent.carried
    path = Path(program)
    path.recalled = True
    path.careful = sent.careful and _unpack_path(sent.careful, options, leaves)
    return path


def share(compiled: Compiled, f: Callable[..., Any]) -> Compiled:
    """Return another compiled function of f: with the same programs, if f is the same."""
    made = type(compiled)(f, compiled.options)
    made.labels = list(compiled.labels)
    if f is compiled.f:
        made._paths = {key: list(own) for key, own in compiled._paths.items()}  # noqa: SLF001  (made here)
    return made


def _pack_function(f: Any, leaves: Sequence[Value]) -> Parcel:
    name = getattr(f, "__qualname__", type(f).__name__)
    derived = []
    while (found := _transform(f)) is not None:
        f, how = found
        derived.append(how)
    if isinstance(f, Absent):
        return Parcel(f, None, derived, name, f.problem)
    try:
        if not isinstance(f, FunctionType):
            pickle.dumps(f)  # if it can, it goes with what it is sent with
            return Parcel(f, None, derived, name, "")
    except Exception:  # noqa: BLE001, S110  (whatever its own code raises)
        pass
    dumps = next((sys.modules[x].dumps for x in BY_VALUE if x in sys.modules), pickle.dumps)
    try:
        return Parcel(None, dumps((f, leaves)), derived, name, "")
    except Exception as error:  # noqa: BLE001  (as above)
        return Parcel(None, None, derived, name, f"{type(error).__name__}: {error}")


def _unpack_function(parcel: Parcel, leaves: list[Value]) -> tuple[Any, list[Value]]:
    f = parcel.f
    problem = parcel.problem
    if parcel.packed is not None:
        try:
            f, leaves = pickle.loads(parcel.packed)  # noqa: S301  (a part of a pickle that is being loaded)
        except Exception as error:  # noqa: BLE001  (whatever the name leads to in this process)
            problem = f"{type(error).__name__}: {error}"
    if f is None or isinstance(f, Absent):
        return Absent(parcel.name, problem), leaves
    for name, numbers in reversed(parcel.derived):
        f = getattr(transforms, name)(f, numbers)
    return f, leaves


def _transform(f: Any) -> tuple[Any, tuple[str, Any]] | None:
    # The function that f is a derivative of, and how: f itself has no name to be pickled by.
    if type(f) is not FunctionType:
        return None
    name = f.__code__.co_qualname.partition(".<locals>.")[0]
    if f.__globals__ is not vars(transforms) or name not in TRANSFORMS:
        return None
    cells = dict(zip(f.__code__.co_freevars, f.__closure__ or (), strict=True))
    return cells["f"].cell_contents, (name, cells["numbers"].cell_contents)
