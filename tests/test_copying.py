"""The laws of copying and pickling: structure, state and identities are kept."""

from __future__ import annotations

import copy
import gc
import io
import math
import pickle
import struct
import sys
import weakref
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from test_backward import graphs

import autograd
from autograd import Value
from autograd.backward import sort

if TYPE_CHECKING:
    from collections.abc import Callable


def pickled(thing: Any) -> Any:
    """Send it through pickle."""
    return pickle.loads(pickle.dumps(thing))  # noqa: S301  (our own bytes)


WAYS: list[Callable[[Any], Any]] = [
    copy.deepcopy,
    *(
        lambda thing, protocol=protocol: pickle.loads(pickle.dumps(thing, protocol))  # noqa: S301
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
    ),
]
way = pytest.mark.parametrize("way", WAYS, ids=["deepcopy", *map(str, range(len(WAYS) - 1))])


def bits(x: float) -> bytes:
    """Return the eight bytes of a double."""
    return struct.pack("<d", x)


def shape(y: Value) -> list[Any]:
    """Return all that a graph is made of, with places instead of identities."""
    computed, leaves = sort(y)
    place = {id(v): i for i, v in enumerate([*leaves, *computed])}
    return [
        (
            v.op,
            bits(v.data),
            bits(v.grad),
            v.label,
            [place[id(x)] if isinstance(x, Value) else bits(x) for x in v.operands],
        )
        for v in [*leaves, *computed]
    ]


@way
@given(graph=graphs())
def test_a_copy_has_the_same_structure_data_grads_and_labels(
    way: Callable[[Any], Any], graph: tuple[list[Value], Value]
) -> None:
    leaves, y = graph
    y.backward()
    made = way(y)
    assert shape(made) == shape(y)
    before = {x.label: x.grad for x in leaves}
    own = sort(made)[1]
    for x in own:
        x.grad = 0.0
    made.backward()
    for x in own:
        assert bits(x.grad) == bits(before[x.label] if x is not made else 1.0)
    assert {x.label: x.grad for x in leaves} == before


@way
def test_values_copied_together_stay_together(way: Callable[[Any], Any]) -> None:
    x, w = Value(2.0, "x"), Value(3.0, "w")
    inner = x * w
    made = way({"out": inner + x, "inner": inner, "leaves": [x, w, x], "again": inner.tanh()})
    assert made["out"].parents[0] is made["inner"]
    assert made["out"].parents[1] is made["leaves"][0] is made["leaves"][2]
    assert made["again"].parents[0] is made["inner"]
    assert made["inner"].parents == (made["leaves"][0], made["leaves"][1])
    made["leaves"][1].data = 5.0
    assert w.data == 3.0


@way
@pytest.mark.parametrize("number", [math.inf, -math.inf, math.nan, -0.0, 5e-324])
def test_special_numbers_survive(way: Callable[[Any], Any], number: float) -> None:
    x = Value(number, "x")
    made = way(x)
    assert bits(made.data) == bits(number)
    with autograd.ieee():
        product = x * number
    assert bits(way(product).operands[1]) == bits(number)
    assert bits(way(product).data) == bits(product.data)


@way
def test_a_copy_stands_on_its_own_when_a_leaf_changes(way: Callable[[Any], Any]) -> None:
    x = Value(2.0, "x")
    y = x * x
    made = way(y)
    x.data = 3.0
    made.backward()
    own = made.parents[0]
    assert own.grad == 4.0
    own.data = 7.0
    with pytest.raises(RuntimeError, match="leaf 'x' changed"):
        made.backward()
    y = x * x
    y.backward()
    assert x.grad == 6.0


def test_a_shallow_copy_shares_the_operands_and_is_a_value_of_its_own() -> None:
    x = Value(3.0, "x")
    y = x * x
    y.label = "y"
    made = copy.copy(y)
    assert made is not y
    assert (made.data, made.label, made.op) == (9.0, "y", autograd.mul)
    assert all(parent is x for parent in made.parents)
    made.backward()
    assert (x.grad, y.grad, made.grad) == (6.0, 0.0, 1.0)
    leaf = copy.copy(x)
    leaf.data = 5.0
    assert (x.data, leaf.label, leaf.op) == (3.0, "x", None)


@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy, pickled])
def test_a_copy_of_a_stale_value_never_gives_a_wrong_gradient(way: Callable[[Any], Any]) -> None:
    x = Value(3.0, "x")
    y = x * x
    x.data = 5.0

    def use() -> None:
        way(y).backward()

    with pytest.raises(RuntimeError, match="leaf 'x' changed"):
        use()
    assert x.grad == 0.0


def test_a_pickler_that_dumps_twice_keeps_identities_between_the_dumps() -> None:
    x = Value(2.0)
    inner = x.exp()
    stream = io.BytesIO()
    pickler = pickle.Pickler(stream)
    pickler.dump(inner)
    pickler.dump(inner * x)
    stream.seek(0)
    unpickler = pickle.Unpickler(stream)  # noqa: S301
    first, second = unpickler.load(), unpickler.load()
    assert second.parents[0] is first
    assert second.parents[1] is first.parents[0]


def test_picklers_at_work_at_once_do_not_disturb_one_another() -> None:
    x = Value(2.0, "x")
    chain = [x]
    for _ in range(300):
        chain.append(chain[-1] * 1.0)
    open_ones = []
    for node in chain[1:]:
        pickler = pickle.Pickler(io.BytesIO())
        pickler.dump(node)
        open_ones.append(pickler)
    made = pickled(chain[-1])
    del open_ones
    made.backward()
    assert sort(made)[1][0].grad == 1.0
    assert len(sort(pickled(chain[-1]))[0]) == 300


def test_pickling_leaves_nothing_behind() -> None:
    x = Value(2.0)
    y = x * x
    watched = weakref.ref(y)
    for _ in range(3):
        assert pickled([y, y.exp()])[0].data == 4.0
    gc.disable()
    try:
        del y
        assert watched() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("way", [copy.deepcopy, pickled])
@pytest.mark.parametrize("turn", [1, -1])
def test_a_list_of_all_values_of_a_chain_is_copied_in_linear_time(
    way: Callable[[Any], Any], turn: int
) -> None:
    def calls(length: int) -> int:
        chain = [Value(1.0)]
        for _ in range(length):
            chain.append(chain[-1] * 1.0)
        count = 0

        def tally(*_: object) -> None:
            nonlocal count
            count += 1

        sys.setprofile(tally)
        try:
            made = way(chain[::turn])[::turn]
        finally:
            sys.setprofile(None)
        assert made[-1].parents[0] is made[-2]
        return count

    assert calls(2000) < 8 * calls(500)  # quadratic would be 16 times, linear is 4


def test_a_deep_graph_needs_no_recursion() -> None:
    x = y = Value(1.0)
    for _ in range(20_000):
        y = y * 1.0
    for made in (copy.deepcopy(y), pickled(y), pickled((y, [y]))[1][0]):
        made.backward()
        assert sort(made)[1][0].grad == 1.0
    assert x.grad == 0.0
