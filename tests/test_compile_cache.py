"""What is kept on disk: found again where it is valid, and nowhere else."""

from __future__ import annotations

import functools
import gc
import itertools
import math
import operator
import os
import pickle
import random
import re
import subprocess
import sys
import threading
import time
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import autograd
import nn
from autograd import Value, define, relu, sin, value_and_grad
from autograd.op import REGISTRY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# autograd.compile is the function: its package is reached by name only.
cache = import_module("autograd.compile.cache")
compiled_module = import_module("autograd.compile.compiled")
remember = import_module("autograd.compile.remember")
sources = import_module("autograd.compile.sources")
fingerprint = import_module("autograd.compile.fingerprint").fingerprint

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Keep things in a directory of the test's own."""
    monkeypatch.setenv("CHAINRULE_CACHE", str(tmp_path / "kept"))
    # Somebody may edit the sources while the tests run: not what these are about.
    monkeypatch.setattr(sources, "LOADED", math.inf)
    _forget_environment()
    yield tmp_path / "kept"
    _forget_environment()


def _forget_environment() -> None:
    sources.version.cache_clear()
    cache._environment.cache_clear()


@pytest.fixture
def traces(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return the list of the functions that were traced."""
    return _count_traces(monkeypatch)


def _count_traces(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    traced: list[Any] = []
    trace = compiled_module.trace

    def counting(f: Any, *args: Any, **options: Any) -> Any:
        traced.append(f)
        return trace(f, *args, **options)

    monkeypatch.setattr(compiled_module, "trace", counting)
    return traced


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*")) if folder.exists() else []


def slope(x: Any) -> Any:
    return sin(x) * x


# --- the second time ------------------------------------------------------------------------------


def test_a_function_that_was_compiled_before_is_neither_traced_nor_compiled(traces, monkeypatch):
    first = autograd.compile(value_and_grad(slope))(2.0)
    emit = import_module("autograd.compile.emit")
    monkeypatch.setattr(emit, "emit", None)
    assert autograd.compile(value_and_grad(slope))(2.0) == first
    assert len(traces) == 1


PROGRAM = """
import random
import sys
from importlib import import_module
import autograd, nn
from autograd import Value, relu, value_and_grad

module = import_module("autograd.compile.compiled")
count = 0
trace = module.trace
def counting(*args, **options):
    global count
    count += 1
    return trace(*args, **options)
module.trace = counting

model = nn.MLP(2, [3, 1], activation="tanh", seed=1)
names = {"alpha", "beta", "gamma"}
class Scaled:
    factor = 2.0
    def __init__(self, inner):
        self.inner = inner
    def __call__(self, x):
        return self.inner(x) * self.factor if "beta" in names else 0.0
def loss(w, xs):
    kind = "relu"
    return sum([relu(a * b) if kind in {"relu", "tanh"} else a for a, b in zip(w, xs)])
scaled = Scaled(model)
step = autograd.compile(value_and_grad(loss))
predict = autograd.compile(scaled)
import numpy as np
batch = autograd.compile(value_and_grad(loss), rows=1, reduce="mean")
print([step([1.0, 2.0], [3.0, -1.0]), predict([0.5, 0.25]),
       batch([1.0, 2.0], np.ones((5, 2)))[0]], count)
"""


def test_another_process_traces_nothing_that_an_earlier_one_has_traced(tmp_path):
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    outputs = []
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, str(script)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        outputs.append(done.stdout.strip().rpartition(" "))
    assert [count for _, _, count in outputs] == ["3", "0"]
    assert outputs[0][0] == outputs[1][0]


def test_a_parameter_that_a_function_names_is_read_in_the_later_run_too(traces):
    def run(weight: float) -> float:
        w = Value(weight)
        result: float = autograd.compile(lambda x: x * w + w * w)(3.0)
        return result

    assert [run(2.0), run(5.0)] == [10.0, 40.0]
    assert len(traces) == 1


def test_every_way_through_a_function_is_found_again(traces):
    def f(x: Any) -> Any:
        return x * 2.0 if x > 0.0 else x * 3.0

    first = autograd.compile(f)
    assert [first(1.0), first(-1.0)] == [2.0, -3.0]
    later = autograd.compile(f)
    assert [later(-1.0), later(1.0), later(-2.0)] == [-3.0, 2.0, -6.0]
    assert len(traces) == 2
    assert len(later.paths) == 2


def test_what_earlier_runs_have_traced_doesnt_count_against_the_bound_on_paths(monkeypatch):
    def f(x: Any) -> Any:
        n = 0
        while x > n:
            n += 1
        return x * n

    monkeypatch.setattr(compiled_module, "PATHS", 4)
    monkeypatch.setattr(remember, "KEPT", 3)
    for numbers in ([0.0, 1.0, 2.0, 3.0], [4.0, 5.0, 6.0, 7.0], [0.0, 1.0, 2.0, 3.0]):
        compiled = autograd.compile(f)
        assert [compiled(x) for x in numbers] == [x * x for x in numbers]
        assert len(compiled.paths) <= 4 + 3
    with pytest.raises(RuntimeError, match=r"has taken \d ways through the function.*where"):
        [compiled(x) for x in range(8, 16)]


def test_rows_reductions_structures_and_exactness_have_programs_of_their_own(traces):
    x = np.arange(6.0).reshape(3, 2)

    def f(v: Any) -> Any:
        return v[0] * v[1]

    for _ in range(2):
        assert autograd.compile(f)([2.0, 3.0]) == 6.0
        assert autograd.compile(f)([2.0, 3.0, 4.0]) == 6.0
        assert autograd.compile(f)((2.0, 3.0)) == 6.0
        assert autograd.compile(f, exact=True)([2.0, 3.0]) == 6.0
        assert autograd.compile(f, rows=0)(x).tolist() == [0.0, 6.0, 20.0]
        assert autograd.compile(f, rows=0, reduce="sum")(x) == 26.0
        assert autograd.compile(f, rows=0, reduce="mean")(x) == pytest.approx(26.0 / 3.0)
    assert len(traces) == 6  # the sum and the mean are one program


def test_without_cache_nothing_is_read_or_written(folder, traces, monkeypatch):
    autograd.compile(slope, cache=False)(1.0)
    assert files(folder) == []
    autograd.compile(slope)(1.0)
    autograd.compile(slope, cache=False)(1.0)
    assert len(traces) == 3
    monkeypatch.setenv("CHAINRULE_CACHE", "")
    autograd.compile(slope)(1.0)
    assert len(traces) == 4


# --- never where it isn't valid -------------------------------------------------------------------

SPACE = """
import math
import autograd
from autograd import relu

rate = {rate}
table = [{entry}, 1.0]
mixed = [{mixed}, 1, None]
settings = {{"gain": {setting}}}

class Base:
    shift = {inherited}
    def move(self, x):
        return x + self.shift

class Box(Base):
    __slots__ = ("hidden",)
    gain = {shared}
    def __init__(self):
        self.own = {own}
        self.hidden = {slot}
    @property
    def twice(self):
        return self.own * {code}
    @staticmethod
    def fixed():
        return {static}
    def scale(self, x):
        return self.move(x) * self.twice * self.gain + self.fixed() + self.hidden

box = Box()

def helper(x, k={default}):
    return x * k + config.offset + config.inner.depth

def make(n):
    def inner(x, *, m={keyword}):
        def innermost(y):
            return y * n
        return helper(innermost(x)) + m
    return inner

inner = make({cell})

def counted(x):
    return x * counted.times
counted.times = {attribute}

def f(x):
    pieces = [g(x) for g in (inner, box.scale, counted)]
    return sum(pieces) * rate + table[0] + mixed[0] * settings["gain"] + relu(x) * math.pi + late(x)
"""
NAMES = [*re.findall(r"\{(\w+)\}", SPACE), "offset", "depth", "late"]


def space_with(numbers: dict[str, float]) -> ModuleType:
    """Return a module in which these numbers are what f depends on."""
    module = ModuleType("space")
    exec(compile(SPACE.format(**numbers), "space.py", "exec"), vars(module))  # noqa: S102  (a program)
    module.config = ModuleType("config")  # type: ignore[attr-defined]
    module.config.offset = numbers["offset"]
    module.config.inner = ModuleType("config.inner")
    module.config.inner.depth = numbers["depth"]
    module.late = functools.partial(operator.mul, numbers["late"])  # type: ignore[attr-defined]
    return module


@pytest.mark.parametrize("name", NAMES)
def test_each_number_that_a_function_reaches_is_a_part_of_its_fingerprint(name):
    numbers = dict.fromkeys(NAMES, 1.0)
    same = fingerprint(space_with(numbers).f)
    assert same is not None
    assert fingerprint(space_with(numbers).f).digest == same.digest
    assert fingerprint(space_with({**numbers, name: 2.0}).f).digest != same.digest


@given(
    runs=st.lists(
        st.dictionaries(st.sampled_from(NAMES), st.sampled_from([0.5, 2.0, -0.0]), max_size=2),
        min_size=2,
        max_size=6,
    )
)
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.usefixtures("folder")
def test_whatever_was_changed_between_runs_a_compiled_function_is_the_function(runs):
    # All runs share what is kept: each stands for a process of its own.
    for changes in runs:
        module = space_with({**dict.fromkeys(NAMES, 1.0), **changes})
        assert autograd.compile(module.f)(3.0) == pytest.approx(module.f(3.0), rel=1e-13)


CHANGES: dict[str, Callable[[Any], Any]] = {
    "a global": lambda m: setattr(m, "rate", 7.0),
    "a global that is another thing": lambda m: setattr(m, "rate", Value(7.0)),
    "an entry of a list": lambda m: m.table.__setitem__(0, 7.0),
    "an entry of a dict": lambda m: m.settings.__setitem__("gain", 7.0),
    "an attribute": lambda m: setattr(m.box, "own", 7.0),
    "a new attribute in front of the class's": lambda m: setattr(m.box, "gain", 7.0),
    "an attribute of a class": lambda m: setattr(m.Base, "shift", 7.0),
    "a method": lambda m: setattr(m.Box, "move", lambda _self, x: x * 7.0),
    "the class of an object": lambda m: setattr(
        m.box, "__class__", type("Box", (m.Box,), {"gain": 7.0})
    ),
    "a default": lambda m: setattr(m.helper, "__defaults__", (7.0,)),
    "a function": lambda m: setattr(m, "helper", lambda x: x * 7.0),
    "the code of a function": lambda m: setattr(
        m.helper, "__code__", (lambda x, k: x - k).__code__
    ),
    "an attribute of a function": lambda m: setattr(m.counted, "times", 7.0),
    "an attribute of a module": lambda m: setattr(m.config, "offset", 7.0),
    "a builtin's name": lambda m: setattr(m, "sum", lambda xs: xs[0] * 7.0),
    "an operation": lambda m: setattr(m, "relu", autograd.tanh),
    "a partial": lambda m: setattr(m, "late", functools.partial(operator.add, 7.0)),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_what_is_changed_in_place_is_seen(change, traces):
    module = space_with(dict.fromkeys(NAMES, 1.0))
    before = autograd.compile(module.f)(3.0)
    change(module)
    expected = module.f(3.0)
    got = autograd.compile(module.f)(3.0)
    assert got == pytest.approx(float(getattr(expected, "data", expected)), rel=1e-13)
    assert got != before
    assert len(traces) == 2


def _define_scaled(factor: float) -> None:
    define("scaled_by", lambda a: factor * a, lambda _y, _a: factor, replace=True)


def test_an_operation_of_the_users_that_is_defined_anew_is_seen(traces):
    before = dict(REGISTRY)
    try:
        results = []
        for factor in (2.0, 3.0, 2.0):
            _define_scaled(factor)
            results.append(autograd.compile(autograd.grad(lambda x: x.scaled_by()))(1.0))
        assert results == [2.0, 3.0, 2.0]
        assert len(traces) == 2
    finally:
        for name in set(REGISTRY) - set(before):
            del REGISTRY[name]
            delattr(Value, name)


def _grown(factor: float) -> Any:
    return lambda x: x * factor


def test_a_method_that_somebody_gave_to_values_is_seen(traces, monkeypatch):
    for factor in (2.0, 3.0):
        monkeypatch.setattr(Value, "grown", _grown(factor), raising=False)
        assert autograd.compile(lambda x: x.grown())(1.0) == factor
    assert len(traces) == 2


def test_a_function_that_changes_what_it_depends_on_is_traced_each_time(traces):
    calls: list[float] = []

    def f(x: Any) -> Any:
        calls.append(1.0)
        return x * len(calls)

    for _ in range(2):
        calls.clear()
        assert autograd.compile(f)(1.0) == 1.0
    assert len(traces) == 2


shared_list = [1.0]
shared_module = math


def _hand_on(x: Any) -> Any:
    return operator.attrgetter("pi")(shared_module) * x


def _import_inside(x: Any) -> Any:
    import math as m  # noqa: PLC0415  (what it is about)

    return x * m.pi


def _set_a_global(x: Any) -> Any:
    global shared_list  # noqa: PLW0603  (as above)
    shared_list = [2.0]
    return x


class Grown(list):  # type: ignore[type-arg]
    """Its entries can't be seen from outside: a subclass decides what they are."""


def _closure_on(thing: Any) -> Callable[[Any], Any]:
    return lambda x: (thing, x)[1]


def _generator() -> Any:
    yield 1.0


interior = Value(1.0) * 2.0
UNSAFE: dict[str, Callable[[Any], Any]] = {
    "a random number": lambda x: x * random.random(),  # noqa: S311  (as above)
    "numpy's random numbers": lambda x: x * np.random.rand(),  # noqa: NPY002  (as above)
    "the time": lambda x: x * time.time(),
    "a file": lambda x: x * len(open("f").read()),  # noqa: PTH123, SIM115  (as above)
    "the environment": lambda x: x * len(os.environ),
    "all globals": lambda x: x * globals()["shared_list"][0],
    "an attribute by its name": lambda x: x * getattr(math, "p" + "i"),
    "code in text": lambda x: x * eval("shared_list")[0],  # noqa: S307  (as above)
    "a module that is handed on": _hand_on,
    "an import": _import_inside,
    "a global that is set": _set_a_global,
    "a function's globals": lambda x: x * _hand_on.__globals__["shared_list"][0],
    "a frame": lambda x: x * _generator().gi_frame.f_globals["shared_list"][0],
    "an address": lambda x: x * id(x),
    "a generator": _closure_on(i for i in [1.0]),
    "an iterator": _closure_on(iter([1.0])),
    "a generator of random numbers": _closure_on(random.Random(0)),  # noqa: S311  (as above)
    "numpy's generator": _closure_on(np.random.default_rng(0)),
    "a lock": _closure_on(threading.Lock()),
    "a list of a class of its own": _closure_on(Grown([1.0])),
    "what has been computed": _closure_on(interior),
    "a memory of results": functools.lru_cache(lambda x: x),
    "a function as numpy's": _closure_on(np.frompyfunc(lambda x: x, 1, 1)),
    "objects that numpy can't see into": _closure_on(np.array(["a"])),
    "a module": _closure_on(math),
    "a method of a builtin object": _closure_on([1.0].append),
    "a chain that is partly used": _closure_on(itertools.chain([1.0])),
    "a set of things that have no order": _closure_on({Value(1.0)}),
}


@pytest.mark.parametrize("f", UNSAFE.values(), ids=UNSAFE.keys())
def test_what_depends_on_things_that_cant_be_told_is_traced_each_time(f):
    assert fingerprint(f) is None


SAFE: dict[str, Any] = {
    "builtins": lambda x: sum(max(float(a), abs(b)) for a, b in zip(x, range(3), strict=False)),
    "functions in C": lambda x: functools.reduce(operator.add, itertools.accumulate(x)) * math.pi,
    "numpy's functions": lambda x: np.dot(np.array(x), np.exp(np.float64(1.0))),
    "arrays": _closure_on(np.arange(3.0)),
    "arrays of Values": _closure_on(np.array([Value(1.0)])),
    "numpy's numbers": _closure_on([np.float64(2.0), np.int32(1)]),
    "Values": lambda x: Value(2.0) * x,
    "a model": nn.MLP(2, [2, 1]),
    "a loss of a model": functools.partial(nn.mse, [1.0]),
    "an operation": relu,
    "a bound method": nn.MLP(2, [2, 1]).forward,
    "a derivative of a derivative": autograd.hessian(lambda x: x**3),
    "itself": lambda x: SAFE["itself"](x) + 1.0,
}


@pytest.mark.parametrize("f", SAFE.values(), ids=SAFE.keys())
def test_what_programs_are_mostly_made_of_can_be_told(f):
    assert fingerprint(f) is not None


def test_other_sources_python_numpy_or_processors_find_nothing(traces, monkeypatch):
    autograd.compile(slope)(1.0)
    for name in ("version", "processor", "numpy"):
        with monkeypatch.context() as patch:
            if name == "version":
                patch.setattr(sources, "version", lambda: "another")
            elif name == "numpy":
                patch.setattr(np, "__version__", "another")
            else:
                patch.setattr(cache, "_processor", lambda: "another")
            cache._environment.cache_clear()
            autograd.compile(slope)(1.0)
        cache._environment.cache_clear()
    assert len(traces) == 4
    autograd.compile(slope)(1.0)
    assert len(traces) == 4


def test_sources_that_have_changed_since_they_were_imported_keep_nothing(folder, monkeypatch):
    monkeypatch.setattr(sources, "LOADED", 0.0)
    _forget_environment()
    assert autograd.compile(slope)(1.0) == slope(1.0)
    assert files(folder) == []


# --- files ----------------------------------------------------------------------------------------


@given(data=st.data())
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_file_that_is_damaged_or_cut_off_is_none(folder, data):
    name = "ab" * 32
    cache.put(name, ["anything", 1.0])
    path = folder / f"{name}{cache.SUFFIX}"
    whole = path.read_bytes()
    if data.draw(st.booleans(), label="cut off"):
        damaged = whole[: data.draw(st.integers(0, len(whole) - 1))]
    else:
        at = data.draw(st.integers(0, len(whole) - 1), label="place")
        other = data.draw(st.integers(1, 255), label="flipped bits")
        damaged = bytes([*whole[:at], whole[at] ^ other, *whole[at + 1 :]])
    path.write_bytes(damaged)
    assert cache.get(name) is None
    cache.put(name, ["anything", 1.0])
    assert cache.get(name) == ["anything", 1.0]


def test_a_program_whose_files_are_damaged_is_made_again(folder, traces):
    first = autograd.compile(slope)(2.0)
    for path in files(folder):
        path.write_bytes(path.read_bytes()[:-1])
    assert autograd.compile(slope)(2.0) == first
    assert autograd.compile(slope)(2.0) == first
    assert len(traces) == 2


def test_a_file_under_the_name_of_another_is_none(folder):
    names = ["ab" * 32, "cd" * 32]
    for name in names:
        cache.put(name, name)
    files(folder)[0].replace(files(folder)[1])
    assert [cache.get(name) for name in names] == [None, None]


def test_a_file_whose_contents_cant_be_loaded_is_none(folder):
    name = "ab" * 32
    cache.put(name, 1)
    data = pickle.dumps(slope, 5).replace(b"slope", b"slopf")
    files(folder)[0].write_bytes(cache._seal(name, data) + data)
    assert cache.get(name) is None


@pytest.mark.skipif(sys.platform == "win32", reason="files have no such owner")
def test_a_file_of_another_user_is_none(monkeypatch):
    cache.put("ab" * 32, 1)
    assert cache.get("ab" * 32) == 1
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    assert cache.get("ab" * 32) is None


def test_where_nothing_can_be_written_one_warning_says_so(tmp_path, monkeypatch):
    blocked = tmp_path / "file"
    blocked.write_text("not a directory")
    monkeypatch.setenv("CHAINRULE_CACHE", str(blocked))
    monkeypatch.setattr(cache, "_warned", False)
    with pytest.warns(RuntimeWarning, match=r"can't be kept in .*file.*set CHAINRULE_CACHE"):
        assert autograd.compile(slope)(1.0) == slope(1.0)
    assert autograd.compile(value_and_grad(slope))(1.0) == value_and_grad(slope)(1.0)  # in silence


def test_the_user_s_cache_directory_is_the_platform_s(monkeypatch):
    monkeypatch.delenv("CHAINRULE_CACHE")
    monkeypatch.setattr(Path, "home", lambda: Path("/home/me"))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("LOCALAPPDATA", raising=False)
    places = {
        "linux": "/home/me/.cache/chainrule",
        "darwin": "/home/me/Library/Caches/chainrule",
        "win32": "/home/me/AppData/Local/chainrule",
    }
    for system, place in places.items():
        monkeypatch.setattr(sys, "platform", system)
        assert cache.directory() == Path(place)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", "/elsewhere")
    assert cache.directory() == Path("/elsewhere/chainrule")


def test_nobody_s_home_is_no_place(monkeypatch):
    def nowhere() -> Path:
        raise RuntimeError

    monkeypatch.delenv("CHAINRULE_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", nowhere)
    monkeypatch.setattr(sys, "platform", "linux")
    assert cache.directory() is None
    assert autograd.compile(slope)(1.0) == slope(1.0)


def test_what_was_not_used_for_the_longest_time_goes_first(folder):
    names = [f"{i:02x}" * 32 for i in range(6)]
    for age, name in enumerate(names):
        cache.put(name, "x" * 1000)
        os.utime(folder / f"{name}{cache.SUFFIX}", (1000.0 + age, 1000.0 + age))
    (folder / "somebody else's").write_bytes(bytes(10_000))
    assert cache.get(names[0]) is not None  # used now
    cache.trim(folder, bound=3500)
    left = [name for name in names if cache.get(name) is not None]
    assert left == [names[0], names[4], names[5]]
    assert (folder / "somebody else's").exists()


def test_the_bound_is_looked_at_again_as_more_is_written(folder, monkeypatch):
    monkeypatch.setattr(cache, "SLACK", 5000)
    trimmed: list[Path] = []
    monkeypatch.setattr(cache, "trim", trimmed.append)
    monkeypatch.setattr(cache, "_unchecked", 0)
    for i in range(20):
        cache.put(f"{i:02x}" * 32, bytes(1000))
    assert trimmed == [folder] * 4


def test_what_is_larger_than_all_is_worth_isnt_kept(folder, monkeypatch):
    monkeypatch.setattr(cache, "LARGEST", 1000)
    cache.put("ab" * 32, bytes(2000))
    assert files(folder) == []


def test_readers_never_see_a_half_written_file(folder):
    name = "ab" * 32
    contents = [bytes([i]) * 50_000 for i in range(4)]
    seen: list[Any] = []
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            seen.append(cache.get(name))

    cache.put(name, contents[0])
    reader = threading.Thread(target=read)
    reader.start()
    writers = [threading.Thread(target=cache.put, args=(name, x)) for x in contents * 10]
    for thread in writers:
        thread.start()
    for thread in writers:
        thread.join()
    stop.set()
    reader.join()
    assert seen
    assert all(x in contents for x in seen)
    assert [path.name for path in files(folder)] == [f"{name}{cache.SUFFIX}"]


def test_what_is_kept_holds_no_function_alive():
    def make() -> int:
        def f(x: Any) -> Any:
            return x * 2.0

        autograd.compile(f)(1.0)
        return id(f)

    address = make()
    gc.collect()
    assert not any(id(x) == address and callable(x) for x in gc.get_objects())
