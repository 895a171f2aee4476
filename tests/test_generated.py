"""What is written from the operation table is in step with it."""

import generate

import autograd
from autograd import ops
from autograd.op import REGISTRY, Variadic

REMEDY = "run `python tests/generate.py`"


def test_the_typed_methods_are_those_of_the_table():
    assert generate.STUB.read_text(encoding="utf-8") == generate.stub(), REMEDY


def test_the_readme_shows_the_table():
    text = generate.README.read_text(encoding="utf-8")
    assert text == generate.readme(text), REMEDY


def test_every_operation_is_exported_by_its_name():
    names = {op.name for op in generate.builtin_operations()}
    assert set(ops.__all__) == names
    assert names <= set(dir(autograd))


def test_every_operation_of_fixed_arity_is_a_method_of_value():
    for op in REGISTRY.values():
        assert hasattr(autograd.Value, op.name) != isinstance(op, Variadic)


def test_every_operation_says_what_its_derivatives_are():
    for op in generate.builtin_operations():
        assert len(op.locals) == op.arity or (op.arity is None and op.locals), op
        assert len(op.domain) == (op.arity or 1), op
