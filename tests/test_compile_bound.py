import numpy as np
import pytest

from autograd import compile as compiled_of
from autograd import sqrt


def test_bound_rows_are_written_to_a_table_one_row_after_the_other() -> None:
    f = compiled_of(lambda w, g, lr: [w[0] - lr[0] * g, sqrt(w[1] + g * g)], rows=(0, 1))
    table, g, lr = np.random.default_rng(0).random((37, 2)), np.linspace(-1, 1, 37), np.array([0.5])
    out = np.zeros((37, 2))
    run = f.bind(table, g, lr, out=out)
    for rate in (0.5, 0.25):
        lr[0] = rate
        assert run() is None
        assert (out == f(table, g, lr)).all()
        assert out[:, 0] == pytest.approx(table[:, 0] - rate * g)


@pytest.mark.parametrize(
    ("f", "out", "words"),
    [
        (lambda x: [x, -x], np.zeros((5, 3)), "out must be a writable buffer of 10 numbers"),
        (lambda x: [x, -x], np.zeros((2, 5)).T, "without gaps"),
        (lambda x: (x, [x, x]), np.zeros(15), "a number or a list of numbers"),
        (lambda x: [x, 1.0], np.zeros((5, 2)), "each of which differs from row to row"),
    ],
)
def test_a_table_that_does_not_fit_the_rows_is_refused(f, out, words) -> None:
    with pytest.raises(ValueError, match=words):
        compiled_of(f, rows=0).bind(np.linspace(0, 1, 5), out=out)


@pytest.mark.parametrize("shape", [(8,), (4, 2), (2, 4)], ids=str)
@pytest.mark.parametrize("kind", [list, tuple])
def test_a_bound_table_goes_the_other_way_with_the_function(kind, shape) -> None:
    def f(x, w):
        return kind([x * w[0], x + w[0]]) if w[0] > 0.0 else kind([x - w[0], 1.0])

    X, w, out = np.linspace(0, 1, 4), np.array([3.0]), np.zeros(shape)
    run = compiled_of(f, rows=0).bind(X, w, out=out)
    for weight in (3.0, -1.0, 2.0):
        w[0] = weight
        assert run() is None
        assert out.reshape(-1).tolist() == [y for x in X.tolist() for y in f(x, [weight])]


def test_a_bound_table_refuses_another_width() -> None:
    f = compiled_of(lambda x, w: [x, x] if w[0] > 0.0 else [x, x, x], rows=0)
    w, out = np.array([1.0]), np.zeros((4, 2))
    run = f.bind(np.linspace(0, 1, 4), w, out=out)
    w[0] = -1.0
    with pytest.raises(ValueError, match="now returns 12 numbers, and out has room for 8"):
        run()
