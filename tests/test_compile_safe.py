"""No input makes machine code read or write outside its buffers; threads, forks, and memory."""

from __future__ import annotations

import ctypes
import gc
import mmap
import os
import random
import subprocess
import sys
import weakref
from array import array
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from threading import Barrier
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import autograd
from autograd import Value, dot, exp, lgamma, logsumexp, relu, sin, tanh, value_and_grad, where

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

compiled_module = import_module("autograd.compile.compiled")
program_module = import_module("autograd.compile.program")

TESTS = Path(__file__).resolve().parent
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="needs fork or mprotect")


@pytest.fixture(autouse=True)
def _nothing_on_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAINRULE_CACHE", "")


def run_here(call: str) -> str:
    """Call a function of this file in a process of its own; what crashes there fails the test."""
    script = f"import faulthandler; faulthandler.enable(); import test_compile_safe as t; t.{call}"
    path = os.pathsep.join([str(TESTS.parent), str(TESTS)])
    environment = {**os.environ, "PYTHONPATH": path, "CHAINRULE_CACHE": ""}
    command = [sys.executable, "-W", "ignore", "-c", script]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# --- guard pages ----------------------------------------------------------------------------------

_libc = ctypes.CDLL(None, use_errno=True) if sys.platform != "win32" else None
_kept: list[mmap.mmap] = []


def guarded(count: int, *, at_end: bool) -> np.ndarray[Any, Any]:
    """Return room for so many doubles that ends (or begins) beside a page nobody may touch."""
    page = mmap.PAGESIZE
    pages = max(1, -(-8 * count // page))
    memory = mmap.mmap(-1, (pages + 2) * page)
    _kept.append(memory)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    for guard in (address, address + (pages + 1) * page):
        assert _libc is not None
        assert _libc.mprotect(ctypes.c_void_p(guard), ctypes.c_size_t(page), 0) == 0
    start = (pages + 1) * page - 8 * count if at_end else page
    return np.frombuffer(memory, np.float64, count, start)


def guarded_copy(numbers: Any, *, at_end: bool) -> np.ndarray[Any, Any]:
    made = guarded(numbers.size, at_end=at_end)
    made[:] = numbers.reshape(-1)
    return made.reshape(numbers.shape)


class GuardedNumpy:
    """Numpy, with the memory that a program works in between guard pages."""

    def __init__(self) -> None:
        self.at_end = True

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)

    def zeros(self, shape: Any) -> Any:
        made = guarded(int(np.prod(shape)), at_end=self.at_end)
        made[:] = 0.0
        return made.reshape(shape)

    def empty(self, shape: Any) -> Any:
        return self.zeros(shape)


def touch(at: int) -> None:
    """Read a double at a place of a guarded array of four, in bounds or not."""
    numbers = guarded(4, at_end=True)
    found = ctypes.c_double.from_address(numbers.ctypes.data + 8 * at)
    sys.stdout.write(f"{found.value}\n")


@POSIX
def test_the_guard_pages_are_guarded():
    assert run_here("touch(3)") == "0.0\n"
    with pytest.raises(AssertionError, match=r"Segmentation fault|Bus error"):
        run_here("touch(4)")


MAKERS: dict[str, Callable[[Any, Any, list[Any]], Any]] = {
    "add": lambda p, q, _: p + q,
    "sub": lambda p, q, _: p - q * 0.5,
    "mul": lambda p, q, _: p * q,
    "dot": lambda _p, _q, xs: dot(xs, xs[::-1]),
    "tanh": lambda p, _q, _xs: tanh(p),
    "relu": lambda p, _q, _xs: relu(p),
    "exp": lambda p, _q, _xs: exp(-p * p),
    "sin": lambda p, _q, _xs: sin(p),
    "where": lambda p, q, _: where(p > q, p, q * 2.0),
    "maximum": lambda _p, _q, xs: autograd.maximum(xs[0], xs[-1]),
    "logsumexp": lambda _p, _q, xs: logsumexp(xs),
    "sum": lambda _p, _q, xs: autograd.sum(xs),
}


def random_function(rng: random.Random) -> Callable[..., Any]:
    """Return a function of a row and of parameters, the same for the same rng."""
    plan = [
        (rng.choice(list(MAKERS)), [rng.random() for _ in range(4)])
        for _ in range(rng.randint(2, 12))
    ]

    def f(x: Any, w: Any) -> Any:
        values = [*x, *w]

        def pick(u: float) -> Any:
            return values[int(u * len(values))]

        for name, (a, b, c, d) in plan:
            p, q = pick(a), pick(b)
            start, stop = sorted((int(c * len(values)), int(d * len(values)) + 1))
            some = values[start:stop] or values[:1]
            made = MAKERS[name](p, q, some)
            values.append(tanh(made))
        return autograd.sum(values[-3:]) + x[0] * 0.5 + dot(w, w) * 0.01

    return f


def run_guarded(seed: int, programs: int) -> None:
    """Run random programs on guarded buffers; what reads or writes outside of them is a fault."""
    numpy = GuardedNumpy()
    vars(program_module)["np"] = numpy
    rng = random.Random(seed)  # noqa: S311  (a plan that can be drawn again)
    numbers = np.random.default_rng(seed)
    for _ in range(programs):
        columns, parameters = rng.randint(1, 20), rng.randint(1, 40)
        f = random_function(rng)
        reduce: Any = rng.choice(["sum", "mean", None])
        wanted = value_and_grad(f, argnums=1) if rng.random() < 0.7 else f
        options: dict[str, Any] = {"exact": rng.random() < 0.2, "threads": rng.choice([1, 1, 3])}
        compiled = autograd.compile(wanted, rows=0, reduce=reduce, cache=False, **options)
        single = autograd.compile(wanted, cache=False)
        counts = [*range(1, 20), *rng.sample(range(20, 71), 6), rng.randint(71, 3000)]
        for count in counts:
            at_end = numpy.at_end = rng.random() < 0.6
            x = guarded_copy(numbers.normal(size=(count, columns)), at_end=at_end)
            w = guarded_copy(numbers.normal(size=parameters), at_end=at_end)
            views = [x, x[::-1], x[::2], x[:, ::-1], np.asfortranarray(x)]
            row_views = views[: 1 + 4 * (count < 20)]
            for view in row_views:
                compiled(view, w)
            if reduce is not None or wanted is f:
                _check_bound(compiled, x, w, at_end=at_end)
        _check_bound(single, x[0], w, at_end=True)
        del compiled, single  # then nobody works in this memory any more
        _kept.clear()
    sys.stdout.write("no fault\n")


def _check_bound(compiled: Any, x: Any, w: Any, *, at_end: bool) -> None:
    expected = compiled(x, w)
    targets = [guarded(np.size(part), at_end=at_end) for part in _parts(expected)]
    out = tuple(targets) if isinstance(expected, tuple) else targets[0]
    run = compiled.bind(x, w, out=out)
    run()
    for target, part in zip(targets, _parts(expected), strict=True):
        # Threads add up the rows in another order.
        np.testing.assert_allclose(target, np.reshape(part, -1), rtol=1e-9, atol=1e-9)


def _parts(result: Any) -> Sequence[Any]:
    return result if isinstance(result, tuple) else [result]


@POSIX
@pytest.mark.parametrize("seed", range(2))
def test_programs_touch_nothing_beside_their_buffers(seed):
    assert run_here(f"run_guarded({seed}, 3)") == "no fault\n"


@POSIX
@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 104))
def test_many_programs_touch_nothing_beside_their_buffers(seed):
    assert run_here(f"run_guarded({seed}, 5)") == "no fault\n"


# --- arguments ------------------------------------------------------------------------------------


def double(xs: Any) -> Any:
    return [2.0 * x for x in xs]


def both(x: Any, w: Any) -> Any:
    return [x[0] * w[0], x[1] * w[1]], x[0] + w[1]


def read_only(count: int) -> Any:
    made = np.zeros(count)
    made.flags.writeable = False
    return made


REFUSED: dict[str, tuple[Any, type[Exception], str]] = {
    "too short": (np.zeros(1), ValueError, "out must have room for 2 numbers; it has 1"),
    "too long": (np.zeros(3), ValueError, "out must have room for 2 numbers; it has 3"),
    "read-only": (read_only(2), ValueError, "out can't be written to"),
    "bytes": (bytes(16), TypeError, "out must be a buffer of doubles .*its format is 'B'"),
    "single precision": (array("f", [0, 0]), TypeError, "doubles .*its format is 'f'"),
    "whole numbers": (np.zeros(2, np.int64), TypeError, "doubles .*its format is 'l'|'q'"),
    "the other order of bytes": (np.zeros(2, ">f8"), TypeError, "doubles .*its format is '>d'"),
    "complex": (np.zeros(2, complex), TypeError, "doubles .*its format is 'Zd'"),
    "a list": ([0.0, 0.0], TypeError, "out must be a buffer of doubles.*got list"),
    "nothing": (None, TypeError, "out must be a buffer of doubles.*got NoneType"),
    "an odd address": (
        np.zeros(17, np.uint8)[1:].view(np.float64),
        ValueError,
        "at an address that 8 divides",
    ),
}


@pytest.mark.parametrize(("out", "kind", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_a_buffer_for_results_that_isn_t_one_is_refused(out, kind, words):
    with pytest.raises(kind, match=words):
        autograd.compile(double).bind(np.zeros(2), out=out)


@pytest.mark.parametrize("name", ["bytes", "single precision", "whole numbers", "an odd address"])
def test_a_buffer_to_read_from_that_isn_t_one_is_refused(name):
    x, kind, _ = REFUSED[name]
    with pytest.raises(kind, match="argument 0 must"):
        autograd.compile(double).bind(x, out=np.zeros(2))


def test_parts_of_the_result_may_not_overlap():
    room = np.zeros(3)
    with pytest.raises(ValueError, match="two parts of out share memory"):
        autograd.compile(both).bind(np.ones(2), np.ones(2), out=(room[:2], room[1:2]))
    with pytest.raises(TypeError, match="a buffer for each of the 2 parts"):
        autograd.compile(both).bind(np.ones(2), np.ones(2), out=room)


def test_rows_that_are_still_to_be_read_may_not_be_written_over():
    x = np.arange(8.0)
    compiled = autograd.compile(lambda a: a * 2.0, rows=0)
    with pytest.raises(ValueError, match="out shares memory with rows that are still to be read"):
        compiled.bind(x[:7], out=x[1:])


def test_results_may_be_written_over_what_they_were_computed_from():
    x = np.arange(4.0)
    run = autograd.compile(double).bind(x, out=x)
    run()
    run()
    assert x.tolist() == [0.0, 4.0, 8.0, 12.0]


@pytest.mark.parametrize("step", [1, 2, -1, -3])
def test_buffers_with_steps_are_read_and_written_as_they_lie(step):
    room = np.arange(24.0)
    x, out = room[::step][:4], np.full(24, 7.0)
    autograd.compile(double).bind(x, out=out[::step][:4])()
    assert out[::step][:4].tolist() == [2.0 * a for a in x]
    assert np.count_nonzero(out == 7.0) == 20


def test_rows_wherever_they_lie_are_the_rows():
    table = np.arange(60.0).reshape(6, 10)
    compiled = autograd.compile(lambda r: dot(r, r), rows=0)
    odd = np.zeros(8 * 12 + 1, np.uint8)[1:].view(np.float64).reshape(4, 3)
    odd[:] = table[:4, :3]
    packed = np.zeros(4, [("tag", "u1"), ("x", "f8", (3,))])
    packed["x"] = odd
    views = [table, table.T, table[::-2, 1::3], np.broadcast_to(table[0], (5, 10)), odd]
    for view in [*views, packed["x"], table.astype(">f8"), table.astype(np.float32), table[1:1, :]]:
        if len(view):
            expected = (np.asarray(view, np.float64) ** 2).sum(1)
            np.testing.assert_allclose(compiled(view), expected, rtol=1e-15)


def test_no_rows_and_rows_of_different_counts_are_refused():
    compiled = autograd.compile(lambda x, y: x * y, rows=(0, 1))
    with pytest.raises(ValueError, match=r"argument 0, .*has no rows: there is nothing to compute"):
        compiled(np.zeros(0), np.zeros(0))
    with pytest.raises(ValueError, match=r"argument 1, .*has 2 rows, and argument 0 has 3"):
        compiled(np.zeros(3), np.zeros(2))


def test_more_rows_than_fit_are_an_error_of_memory():
    many = np.broadcast_to(np.float64(1.0), (1 << 48,))
    with pytest.raises(MemoryError, match="Unable to allocate"):
        autograd.compile(lambda x: x * 2.0, rows=0)(many)


def test_rows_without_end_in_one_place_are_summed_up():
    many = np.broadcast_to(np.float64(0.5), (1_000_003,))
    assert autograd.compile(lambda x: x * 2.0, rows=0, reduce="sum")(many) == 1_000_003.0


def test_the_program_that_is_bound_is_the_one_for_these_buffers():
    compiled = autograd.compile(double)
    compiled([1.0, 2.0])
    compiled([1.0] * 1000)
    compiled([1.0])
    out = np.zeros(2)
    compiled.bind(np.array([3.0, 4.0]), out=out)()
    assert out.tolist() == [6.0, 8.0]


# --- lifetimes ------------------------------------------------------------------------------------


def test_a_bound_function_lives_on_when_what_it_was_bound_by_is_gone():
    weight = Value(3.0)
    out = array("d", [0.0, 0.0])
    runs = [
        autograd.compile(double).bind(array("d", [1.0, 2.0]), out=out),
        autograd.compile(lambda x: [a * weight for a in x]).bind(np.array([1.0, 2.0]), out=out),
    ]
    gc.collect()
    rubbish = [np.full(n, 9.25) for n in range(1, 200) for _ in range(10)]
    for run, expected in zip(runs, ([2.0, 4.0], [3.0, 6.0]), strict=True):
        run()
        assert out.tolist() == expected
    assert len(rubbish) == 1990


def test_a_bound_function_whose_guards_fail_lives_on_too():
    def f(x: Any) -> Any:
        return [x[0] * 2.0] if x[0] > 0.0 else [x[0] * 3.0]

    x, out = array("d", [1.0]), array("d", [0.0])
    run = autograd.compile(f).bind(x, out=out)
    gc.collect()
    for number, expected in ((1.0, 2.0), (-1.0, -3.0), (2.0, 4.0)):
        x[0] = number
        run()
        assert out[0] == expected


def test_a_bound_array_cant_be_resized():
    x, out = array("d", [1.0, 2.0]), array("d", [0.0, 0.0])
    run = autograd.compile(double).bind(x, out=out)
    for bound in (x, out):
        with pytest.raises(BufferError, match="cannot resize an array that is exporting buffers"):
            bound.append(0.0)
    del run
    gc.collect()
    x.append(3.0)


def test_all_goes_with_the_last_name_without_the_collector():
    def use() -> list[weakref.ref[Any]]:
        compiled = autograd.compile(lambda x: sin(x) + lgamma(x))
        compiled(2.0)
        compiled.bind(2.0, out=np.zeros(1))()
        program = compiled.programs[0]
        return [weakref.ref(x) for x in (compiled, program, program.loaded())]

    use()
    gc.disable()
    try:
        assert [made() for made in use()] == [None] * 3
    finally:
        gc.enable()


def resident() -> int:
    with Path("/proc/self/statm").open() as file:
        return int(file.read().split()[1]) * mmap.PAGESIZE


def growth(compilations: int, *, keep: bool) -> float:
    """Return by how many bytes a compilation makes the process larger."""
    gc.collect()
    before = resident()
    kept = []
    for i in range(compilations):
        compiled = autograd.compile(
            value_and_grad(lambda x, k=float(i): lgamma(x) * k), cache=False
        )
        compiled(2.0)
        if keep:
            kept.append(compiled)
    gc.collect()
    return (resident() - before) / compilations


def print_growth() -> None:
    """Print by how much compilations make this process larger, forgotten and kept."""
    growth(150, keep=False)  # all that is made once is made by now, and LLVM's memory has its size
    sys.stdout.write(f"{growth(100, keep=False)} {growth(30, keep=True)}\n")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="tells how much memory is used")
def test_compilations_leave_no_memory_behind():
    # Over 10,000 of them it was less than 20 bytes each. What is kept would be seen.
    forgotten, kept = map(float, run_here("print_growth()").split())
    assert forgotten < 3000.0
    assert kept > 20_000.0


# --- threads and forks ----------------------------------------------------------------------------


def test_several_threads_compile_at_once():
    start = Barrier(6)

    def work(k: int) -> float:
        start.wait()
        total = 0.0
        for n in range(3):
            factor = 10.0 * k + n
            total += autograd.compile(lambda x, c=factor: x * c)(2.0)
        return total

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(work, range(6))) == [60.0 * k + 6.0 for k in range(6)]


def test_several_threads_call_what_isn_t_traced_yet():
    def f(x: Any) -> Any:
        return x * 2.0 if x > 0.0 else x * 3.0

    compiled = autograd.compile(f)
    start = Barrier(6)

    def work(k: int) -> float:
        start.wait()
        result: float = compiled(float(k) - 2.5)
        return result

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(work, range(6))) == [-7.5, -4.5, -1.5, 1.0, 3.0, 5.0]


def test_several_threads_call_one_function_each_with_its_own_numbers():
    w = [0.5, -1.0, 2.0]
    single = autograd.compile(lambda x: [x[0] + x[1], x[0] * x[1], lgamma(x[0])])
    rows = autograd.compile(lambda x, w: dot(w, x), rows=0, reduce="sum")

    def work(k: int) -> None:
        x = np.full((k + 1, 3), float(k))
        for n in range(300):
            a, b = float(k + 1), float(n)
            assert single([a, b])[:2] == [a + b, a * b]
            assert rows(x, w) == 1.5 * k * (k + 1)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))


def fork_after_compile() -> None:
    """Call, compile and bind in forked processes, of which some are made in a compilation."""
    compiled = autograd.compile(value_and_grad(lambda x: sin(x) * x))
    expected = compiled(2.0)
    import multiprocessing  # noqa: PLC0415  (for this process only)

    def work(k: int) -> bool:
        own = autograd.compile(lambda x: x * float(k))
        return bool(compiled(2.0) == expected and own(3.0) == 3.0 * k)

    def compile_on() -> None:
        for k in range(15):
            autograd.compile(lambda x, c=float(k): exp(x) * c)(1.0)

    with ThreadPoolExecutor(2) as pool:
        busy = [pool.submit(compile_on) for _ in range(2)]
        for k in range(12):
            child = os.fork()
            if child == 0:
                os._exit(0 if work(k) else 1)
            assert os.waitpid(child, 0)[1] == 0
        for one in busy:
            one.result()
    context: Any = multiprocessing.get_context("fork")
    with context.Pool(2) as processes:
        assert processes.map(compiled, [2.0, 2.0]) == [expected, expected]
    sys.stdout.write("all the same\n")


@POSIX
def test_a_forked_process_calls_and_compiles():
    assert run_here("fork_after_compile()") == "all the same\n"


def test_a_lock_that_another_thread_held_at_the_fork_is_free_in_the_child():
    compiled = autograd.compile(lambda x: x * 2.0)
    held = compiled._lock
    compiled_module._renew_locks()
    assert compiled._lock is not held
