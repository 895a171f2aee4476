"""What a function is, told from its outside: so that a trace of it is known again in another run.

A trace need not be made again if everything that it came from is the same: the function's code, and
all that the code can reach, which are its defaults, its closure, the globals that it names, the
attributes of modules that it names, and so on from there. All of this goes into one hash.

What can't be told from its like in another process (a file, a random generator, a lock) or could be
reached by ways that the code doesn't show (`getattr`, `globals()`, an import inside) makes the
function unsafe to know again, and it is traced. In doubt, it is traced.
"""

from __future__ import annotations

import builtins
import dis
import functools
import itertools
import struct
import sys
from array import array
from contextlib import suppress
from hashlib import blake2b
from types import (
    BuiltinFunctionType,
    CodeType,
    EllipsisType,
    FunctionType,
    GetSetDescriptorType,
    MemberDescriptorType,
    MethodType,
    ModuleType,
    NoneType,
    WrapperDescriptorType,
)
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from autograd.backward import sort
from autograd.op import REGISTRY, Op
from autograd.value import Value

from .sources import is_ours

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ATOMS: dict[type, Callable[[Any], bytes]] = {
    NoneType: lambda _: b"",
    EllipsisType: lambda _: b"",
    bool: lambda x: b"%d" % x,
    int: lambda x: hex(x).encode(),
    float: lambda x: struct.pack("<d", x),
    complex: lambda x: struct.pack("<dd", x.real, x.imag),
    str: lambda x: x.encode("utf-8", "surrogatepass"),
    bytes: lambda x: x,
    range: lambda x: repr(x).encode(),
}
"""Types whose objects are nothing but their bytes: whether two of them are one doesn't matter."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


PURE_BUILTINS = _words(
    "abs all any ascii bin callable chr divmod format hasattr hex isinstance issubclass iter len "
    "max min next oct ord pow repr round sorted sum"
)
PURE_MODULES = _words("_operator _functools cmath itertools math operator")
PURE_NUMPY = _words("array asarray concatenate dot inner mean ones outer stack sum transpose zeros")
"""Functions in C that give the same for the same operands, and look at nothing else."""

UNSEEN = _words(
    "IMPORT_NAME IMPORT_FROM IMPORT_STAR LOAD_NAME STORE_NAME DELETE_NAME STORE_GLOBAL "
    "DELETE_GLOBAL LOAD_BUILD_CLASS LOAD_FROM_DICT_OR_GLOBALS LOAD_FROM_DICT_OR_DEREF LOAD_LOCALS"
)
"""Instructions of Python that reach what isn't named as a global is."""

PLAIN_DUNDERS = _words("__call__ __init__ __len__ __name__ __qualname__")
"""Attributes between double underscores that lead nowhere; `f.__globals__` leads everywhere."""

FRAMES = _words("ag_frame cr_frame gi_frame tb_frame")
"""Attributes that lead to the names of whoever is running."""

OF_AN_OP = _words("aliases arity defaults forward ieee lowering partials routes")
"""What a trace has of an operation; the rest is for people and for tests."""

CLASS_FURNITURE = _words(
    "__annotate__ __annotate_func__ __annotations__ __annotations_cache__ __dict__ __doc__ "
    "__conditional_annotations__ __firstlineno__ __module__ __static_attributes__ __weakref__"
)
"""What Python puts into every class, none of it among the plain dunders."""


HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE


class Fingerprint(NamedTuple):
    """A function's hash, and the leaves that it reaches, in an order that is always the same."""

    digest: str
    leaves: list[Value]


class UnsafeError(Exception):
    """Something that a function may depend on can't be known again."""


def fingerprint(f: Any) -> Fingerprint | None:
    """Return what f is, or None where that can't be told safely."""
    walk = _Walk()
    try:
        walk.visit(f)
        # What users have added to Values, and their operations: they are reached through arguments.
        walk.visit(Value)
        for name in sorted(REGISTRY):
            if not REGISTRY[name].builtin:
                walk.visit(REGISTRY[name])
    except (UnsafeError, RecursionError):
        return None
    return Fingerprint(walk.hash.hexdigest(), walk.leaves)


def reachable_leaves(f: Any) -> list[Value]:
    """Return the leaves that f reaches, as far as can be seen."""
    walk = _Lenient()
    walk.visit(f)
    return walk.leaves


class _Walk:
    """Goes through everything that can be reached from a function, each object once."""

    def __init__(self) -> None:
        self.hash = blake2b(digest_size=32)
        self.leaves: list[Value] = []
        self._seen: dict[int, int] = {}
        self._kept: list[Any] = []  # so that no id is given to another object meanwhile

    def put(self, kind: str, content: bytes = b"") -> None:
        self.hash.update(b"%s %d " % (kind.encode(), len(content)))
        self.hash.update(content)

    def visit(self, thing: Any) -> None:
        kind = type(thing)
        if kind in ATOMS:
            self.put(kind.__name__, ATOMS[kind](thing))
        elif kind is tuple:
            self._visit_all("tuple", thing)
        elif kind is frozenset or kind is set:
            self._visit_set(thing)
        elif kind is CodeType:
            self._visit_code(thing)
        elif id(thing) in self._seen:
            # The same object once more: whoever changes it changes it in both places.
            self.put("seen", b"%d" % self._seen[id(thing)])
        else:
            self._seen[id(thing)] = len(self._seen)
            self._kept.append(thing)
            self._rules.get(kind, _Walk._visit_object)(self, thing)

    # --- containers ------------------------------------------------------------------------------

    def _visit_all(self, kind: str, things: Any) -> None:
        self.put(kind, b"%d" % len(things))
        for thing in things:
            self.visit(thing)

    def _visit_list(self, things: list[Any]) -> None:
        if things and {*map(type, things)} == {float}:  # data, and perhaps much of it
            self.put("floats", array("d", things).tobytes())
        else:
            self._visit_all("list", things)

    def _visit_dict(self, things: dict[Any, Any]) -> None:
        self.put("dict", b"%d" % len(things))
        for name, thing in things.items():
            self.visit(name)
            self.visit(thing)

    def _visit_set(self, things: frozenset[Any] | set[Any]) -> None:
        # Their order is another one in each process.
        if not all(type(x) in ATOMS for x in things):
            raise UnsafeError
        self.put("set", b"%d" % len(things))
        for name, content in sorted((type(x).__name__, ATOMS[type(x)](x)) for x in things):
            self.put(name, content)

    def _visit_array(self, thing: Any) -> None:
        self.put(f"array {thing.typecode}", thing.tobytes())

    def _visit_ndarray(self, thing: Any) -> None:
        if thing.dtype.kind == "O":
            self.put(f"objects {thing.shape}")
            self._visit_all("list", thing.reshape(-1).tolist())
        elif thing.dtype.kind in "biufc":
            self.put(f"ndarray {thing.dtype.str} {thing.shape}", thing.tobytes())
        else:
            raise UnsafeError

    # --- the engine's own ------------------------------------------------------------------------

    def _visit_value(self, value: Value) -> None:
        # Its number is read at each call, and no trace depends on it.
        if value.op is not None:
            raise UnsafeError
        self.put("leaf", b"%d" % len(self.leaves))
        self.visit(value.label)
        self.leaves.append(value)

    def _visit_op(self, op: Op) -> None:
        self.put("op", op.name.encode())
        if REGISTRY.get(op.name) is not op:
            raise UnsafeError
        if not op.builtin:
            for name in sorted(OF_AN_OP):
                self.visit(getattr(op, name))

    # --- functions -------------------------------------------------------------------------------

    def _visit_function(self, f: FunctionType) -> None:
        self.put("function", f.__qualname__.encode())
        self._visit_code(f.__code__)
        if not is_ours(f):
            for code in _nested(f.__code__):
                self._visit_names(code, f.__globals__)
        for cell in f.__closure__ or ():
            try:
                self.visit(cell.cell_contents)
            except ValueError:
                self.put("empty")
        self.visit(f.__defaults__)
        self.visit(f.__kwdefaults__)
        self.visit(f.__dict__)

    def _visit_code(self, code: CodeType) -> None:
        # Lines and the file's name as well: a program says where its parts come from.
        counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
        names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
        file = code.co_filename.replace("\\", "/").rpartition("/")[2]
        place = (code.co_name, code.co_qualname, file, code.co_firstlineno, code.co_linetable)
        self._visit_all("code", (*counts, *names, *place, code.co_code, code.co_exceptiontable))
        self._visit_all("consts", code.co_consts)

    def _visit_names(self, code: CodeType, space: dict[str, Any]) -> None:
        names = {name for name in code.co_names if name[:2] == "__" == name[-2:]}
        if not names <= PLAIN_DUNDERS or not FRAMES.isdisjoint(code.co_names):
            raise UnsafeError
        steps = (step for step in dis.get_instructions(code) if step.opname != "EXTENDED_ARG")
        for step in steps:
            if step.opname in UNSEEN:
                raise UnsafeError
            if step.opname == "LOAD_GLOBAL":
                self.put("global", step.argval.encode())
                self._visit_global(step.argval, space, steps)

    def _visit_global(
        self, name: str, space: dict[str, Any], steps: Iterator[dis.Instruction]
    ) -> None:
        if name not in space and not hasattr(builtins, name):
            self.put("undefined")
            return
        thing = space[name] if name in space else getattr(builtins, name)
        while isinstance(thing, ModuleType):
            # Of a module those attributes count that are named. So it may not be handed on.
            step = next(steps)
            if step.opname not in ("LOAD_ATTR", "LOAD_METHOD"):
                raise UnsafeError
            self.put("attribute", step.argval.encode())
            thing = _attribute(thing, step.argval)
        self.visit(thing)

    def _visit_method(self, method: MethodType) -> None:
        self.put("method")
        self.visit(method.__func__)
        self.visit(method.__self__)

    def _visit_builtin(self, f: BuiltinFunctionType) -> None:
        owner = f.__self__
        module = getattr(owner, "__name__", "") if isinstance(owner, ModuleType) else ""
        if f.__name__ in PURE_BUILTINS if module == "builtins" else module in PURE_MODULES:
            self.put("builtin", f"{module}.{f.__name__}".encode())
        else:
            self._visit_numpy(f)

    def _visit_partial(self, thing: functools.partial[Any]) -> None:
        self.put("partial")
        for part in (thing.func, thing.args, thing.keywords, thing.__dict__):
            self.visit(part)

    # --- classes and their objects ---------------------------------------------------------------

    def _visit_class(self, cls: type) -> None:
        self.put("class", f"{cls.__module__}.{cls.__qualname__}".encode())
        if _is_opaque(cls):
            return
        ours = is_ours(cls)
        self._visit_all("bases", cls.__mro__[1:])
        for name, part in vars(cls).items():
            if name in CLASS_FURNITURE or (ours and _is_part_of_ours(part)):
                continue
            self.put("attribute", name.encode())
            if isinstance(part, staticmethod | classmethod):
                self.put(type(part).__name__)
                self.visit(part.__func__)
            elif type(part) is property:
                self._visit_all("property", (part.fget, part.fset, part.fdel))
            elif not isinstance(part, MemberDescriptorType) or name not in _slots(cls):
                self.visit(part)

    def _visit_object(self, thing: Any) -> None:
        cls = type(thing)
        if isinstance(thing, Op):
            self._visit_op(thing)
        elif isinstance(thing, np.dtype):
            self.put("dtype", repr(thing).encode())
        elif isinstance(thing, np.generic) and thing.dtype.kind in "biufc":
            self.put(f"number {thing.dtype.str}", thing.tobytes())
        elif isinstance(thing, np.ufunc) or cls.__module__.partition(".")[0] == "numpy":
            self._visit_numpy(thing)
        elif type(cls) is type and all(map(_is_open, cls.__mro__[:-1])):
            self._visit_instance(thing)
        else:
            raise UnsafeError

    def _visit_numpy(self, f: Any) -> None:
        # Not what `frompyfunc` makes of a function, nor what reads files or draws numbers.
        name = getattr(f, "__name__", "")
        if getattr(np, name, None) is not f or not isinstance(f, np.ufunc) | (name in PURE_NUMPY):
            raise UnsafeError
        self.put("numpy", name.encode())

    def _visit_instance(self, thing: Any) -> None:
        # All that it has lies in its attributes and slots. The class is looked at, too: if it is
        # one in C, it has methods in C, which aren't open.
        cls = type(thing)
        self.put("object")
        self.visit(cls)
        self.visit(getattr(thing, "__dict__", None))
        for name in [name for base in cls.__mro__ for name in _slots(base)]:
            self.put("slot", name.encode())
            self._visit_all("slot", [getattr(thing, name)] if hasattr(thing, name) else [])

    _rules: ClassVar[dict[type, Callable[[_Walk, Any], None]]] = {
        list: _visit_list,
        dict: _visit_dict,
        array: _visit_array,
        np.ndarray: _visit_ndarray,
        Value: _visit_value,
        FunctionType: _visit_function,
        MethodType: _visit_method,
        BuiltinFunctionType: _visit_builtin,
        functools.partial: _visit_partial,
        type: _visit_class,
    }


class _Lenient(_Walk):
    """Looks for leaves only, and goes on past what isn't safe."""

    def visit(self, thing: Any) -> None:
        with suppress(UnsafeError):
            if type(thing) is Value and thing.op is not None:
                for leaf in sort(thing)[1]:
                    super().visit(leaf)
            super().visit(thing)


_IN_C = (
    property,
    BuiltinFunctionType,
    GetSetDescriptorType,
    MemberDescriptorType,
    WrapperDescriptorType,
)


def _nested(code: CodeType) -> Iterator[CodeType]:
    # A function's code, and that of the functions in it.
    yield code
    for thing in code.co_consts:
        if type(thing) is CodeType:
            yield from _nested(thing)


def _attribute(module: ModuleType, name: str) -> Any:
    # A `__getattr__` of a module's own decides by itself; of autograd's we know what it does.
    if name in vars(module):
        return vars(module)[name]
    if module is sys.modules["autograd"] and name in REGISTRY:
        return REGISTRY[name]
    raise UnsafeError


def _is_opaque(cls: type) -> bool:
    # Types in C that are the same in every process; what their objects hold can't be seen.
    if getattr(builtins, cls.__name__, None) is cls or cls in (NoneType, np.ndarray):
        return True
    if issubclass(cls, np.generic):
        return cls.__module__ == "numpy"
    return cls.__module__ == "itertools" and getattr(itertools, cls.__name__, None) is cls


def _is_open(cls: type) -> bool:
    # Made while programs run: all in Python are, and few in C.
    return bool(cls.__flags__ & HEAP_TYPE) and not _is_opaque(cls)


def _is_part_of_ours(part: Any) -> bool:
    function = getattr(part, "__func__", part)
    if type(function) is FunctionType:
        return is_ours(function)
    return type(part) in _IN_C


def _slots(cls: type) -> tuple[str, ...]:
    # Without those that are private to their class: Python stores them under other names, so that
    # they are seen as something that isn't known.
    slots = vars(cls).get("__slots__", ())
    names = (slots,) if isinstance(slots, str) else tuple(slots)
    return tuple(n for n in names if isinstance(vars(cls).get(n), MemberDescriptorType))
