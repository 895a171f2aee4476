"""The laws of optimisers, clipping and schedules: PyTorch's steps, state, and what is refused."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nn_torch_steps import CASES, FACTORS, SCHEDULES, START, STEPS, objective

from autograd import Value, tanh
from nn import schedules
from nn.clipping import clip_by_norm, clip_by_value
from nn.layers import MLP
from nn.optim import (
    OPTIMIZERS,
    SGD,
    Adam,
    AdamW,
    Optimizer,
    RMSprop,
    optimizer,
)

KINDS = list(OPTIMIZERS.values())


def descend(stepper: Optimizer, steps: int) -> list[list[float]]:
    """The way down the valley."""
    path = []
    for _ in range(steps):
        y = objective(tanh, *stepper.parameters)
        stepper.zero_grad()
        y.backward()
        stepper.step()
        path.append([p.data for p in stepper.parameters])
    return path


def with_gradients(*gradients: float) -> list[Value]:
    """Parameters 1.0 with these gradients."""
    parameters = [Value(1.0) for _ in gradients]
    for p, gradient in zip(parameters, gradients, strict=True):
        p.grad = gradient
    return parameters


# --- steps ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("case", "expected"), [*zip(CASES, STEPS, strict=True)], ids=[f"{k}-{o}" for k, o in CASES]
)
def test_ten_steps_are_those_of_pytorch(case: Any, expected: list[list[float]]) -> None:
    kind, options = case
    stepper = optimizer(kind)([Value(x) for x in START], **options)
    path = descend(stepper, 10)
    assert path[-1] == pytest.approx(expected[-1], rel=0, abs=1e-12)
    for point, torchs in zip(path, expected, strict=True):
        assert point == pytest.approx(torchs, rel=0, abs=1e-12)


def test_plain_descent_is_the_documents_first_example() -> None:
    w, b = Value(0.5), Value(0.1)
    (0.5 * (2.0 * w + b - 1.0) ** 2).backward()
    SGD([w, b], lr=0.1).step()
    assert [w.data, b.data] == pytest.approx([0.48, 0.09], rel=1e-15)


@given(gradient=st.floats(1e-3, 1e3), sign=st.sampled_from([-1.0, 1.0]))
def test_adams_first_step_is_lr_and_without_correction_three_times_that(
    gradient: float, sign: float
) -> None:
    for corrected, length in ((True, 1.0), (False, 0.1 / math.sqrt(0.001))):
        (w,) = with_gradients(sign * gradient)
        Adam([w], lr=0.01, bias_correction=corrected).step()
        assert 1.0 - w.data == pytest.approx(sign * 0.01 * length, rel=1e-3)


def test_adam_without_correction_follows_the_documents_formulas() -> None:
    (w,) = with_gradients(0.0)
    stepper = Adam([w], lr=0.1, betas=(0.8, 0.9), eps=0.01, bias_correction=False)
    expected, m, v = 1.0, 0.0, 0.0
    for gradient in (0.5, -2.0, 1.0, 3.0):
        w.grad = gradient
        stepper.step()
        m = 0.8 * m + 0.2 * gradient
        v = 0.9 * v + 0.1 * gradient**2
        expected -= 0.1 * m / (math.sqrt(v) + 0.01)
        assert w.data == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("kind", [SGD, RMSprop, Adam])
def test_weight_decay_is_half_the_sum_of_squares_in_the_loss(kind: Any) -> None:
    decayed = kind([Value(x) for x in START], lr=0.01, weight_decay=0.3)
    plain = kind([Value(x) for x in START], lr=0.01)
    for _ in range(5):
        for stepper, penalty in ((decayed, 0.0), (plain, 0.5 * 0.3)):
            y = objective(tanh, *stepper.parameters)
            y = y + penalty * sum(p * p for p in stepper.parameters)
            stepper.zero_grad()
            y.backward()
            stepper.step()
    assert [p.data for p in decayed.parameters] == pytest.approx(
        [p.data for p in plain.parameters], rel=1e-13
    )


@pytest.mark.parametrize("kind", KINDS)
def test_without_gradient_and_decay_nothing_moves(kind: Any) -> None:
    parameters = with_gradients(0.0, 0.0)
    kind(parameters, weight_decay=0.0).step()
    assert [p.data for p in parameters] == [1.0, 1.0]


# --- which parameters -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_frozen_stays_and_begins_afresh_when_it_is_thawed(kind: Any) -> None:
    model = MLP(2, [3, 1])
    first, second = model.layers[0].parameters(), model.layers[1].parameters()
    stepper = kind(model)
    model.layers[0].freeze()

    def step() -> list[bool]:
        before = [p.data for p in model.parameters()]
        for p in model.parameters():
            p.grad = 1.0
        stepper.step()
        return [p.data != x for p, x in zip(model.parameters(), before, strict=True)]

    assert step() == [False] * len(first) + [True] * len(second)
    model.unfreeze()
    assert step() == [True] * (len(first) + len(second))
    assert stepper.steps == [1] * len(first) + [2] * len(second)


def test_zero_grad_reaches_frozen_parameters_too() -> None:
    model = MLP(2, [1]).freeze()
    for p in model.parameters():
        p.grad = 1.0
    SGD(model).zero_grad()
    assert [p.grad for p in model.parameters()] == [0.0, 0.0, 0.0]


def test_a_list_a_generator_and_a_model_are_parameters() -> None:
    model = MLP(2, [3, 1])
    parameters = model.parameters()
    for given_ in (model, parameters, tuple(parameters), iter(parameters)):
        assert SGD(given_).parameters == parameters


def test_after_a_step_the_old_graph_is_stale() -> None:
    w = Value(2.0, "w")
    y = w * w
    y.backward()
    SGD([w], lr=0.1).step()
    with pytest.raises(RuntimeError, match="the data of leaf 'w' changed"):
        y.backward()


WRONG_PARAMETERS: list[tuple[Any, type[Exception], str]] = [
    ([], ValueError, "SGD: there are no parameters to train; pass the model"),
    (Value(1.0), TypeError, "must be a module or a list of Values; got Value"),
    (3.0, TypeError, r"must be a module or a list of Values; got 3\.0"),
    ([Value(1.0), 2.0], TypeError, r"parameters\[1\] must be a Value; got 2\.0"),
    ([Value(1.0) * 2.0], ValueError, r"parameters\[0\] was computed by mul; only a leaf"),
    ([Value(1.0)] * 2, ValueError, r"parameters\[1\] is parameters\[0\] again"),
]


@pytest.mark.parametrize(("parameters", "kind", "words"), WRONG_PARAMETERS)
def test_wrong_parameters_are_refused(parameters: Any, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        SGD(parameters)
    with pytest.raises(kind, match=words.replace("SGD", "clip_by_value")):
        clip_by_value(parameters, 1.0)


# --- options --------------------------------------------------------------------------------------

WRONG_OPTIONS: list[tuple[Any, dict[str, Any], str]] = [
    *[(k, {"lr": x}, "lr must be > 0") for k in KINDS for x in (0.0, -0.1, math.nan, math.inf)],
    *[(k, {"weight_decay": -1.0}, "weight_decay must be finite and >= 0; got -1") for k in KINDS],
    *[(k, {"eps": 0.0}, "eps must be > 0") for k in (RMSprop, Adam, AdamW)],
    *[(k, {"momentum": 1.0}, "momentum must be >= 0 and < 1; got 1") for k in (SGD, RMSprop)],
    (SGD, {"momentum": 0.9, "dampening": 1.0}, "dampening must be >= 0 and < 1; got 1.0"),
    (SGD, {"nesterov": True}, "nesterov needs momentum > 0 and dampening = 0; got momentum=0.0"),
    (SGD, {"nesterov": True, "momentum": 0.9, "dampening": 0.1}, "nesterov needs .* dampening=0.1"),
    (RMSprop, {"alpha": 1.0}, "alpha must be >= 0 and < 1; got 1.0"),
    (Adam, {"betas": (1.0, 0.9)}, r"betas\[0\] must be >= 0 and < 1; got 1\.0"),
    (AdamW, {"betas": (0.9, -0.1)}, r"betas\[1\] must be >= 0 and < 1; got -0\.1"),
    (Adam, {"betas": 0.9}, r"betas must be two numbers; got 0\.9"),
    (Adam, {"betas": (0.9,)}, r"betas must be two numbers; got \(0\.9,\)"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "options", "words"), WRONG_OPTIONS)
def test_an_option_out_of_range_is_refused(kind: Any, options: Any, words: str) -> None:
    with pytest.raises(ValueError, match=f"^{kind.__name__}: {words}"):
        kind([Value(1.0)], **options)


def test_lr_can_be_set_to_any_number_from_0_on() -> None:
    (w,) = with_gradients(1.0)
    stepper = SGD([w], lr=0.5)
    stepper.lr = 0.0
    stepper.step()
    assert w.data == 1.0
    stepper.lr = 0.25
    stepper.step()
    assert w.data == 0.75
    for wrong in (-0.1, math.nan, math.inf):
        with pytest.raises(ValueError, match=f"SGD: lr must be finite and >= 0; got {wrong}"):
            stepper.lr = wrong


def test_an_optimiser_shows_its_options() -> None:
    assert repr(SGD([Value(1.0)], lr=0.1, momentum=0.9)) == (
        "SGD(lr=0.1, momentum=0.9, dampening=0.0, nesterov=False, weight_decay=0.0): 1 parameter"
    )
    assert repr(AdamW(MLP(2, [1]))).startswith("AdamW(lr=0.001, betas=(0.9, 0.999), eps=1e-08")


def test_optimisers_are_found_by_name() -> None:
    assert [optimizer(name) for name in ("sgd", "RMSprop", "Adam", "adamw")] == KINDS
    assert optimizer(Adam) is Adam
    with pytest.raises(ValueError, match="no optimiser is called 'adm'; did you mean 'adam'"):
        optimizer("adm")
    for wrong in (None, int, 3):
        with pytest.raises(TypeError, match="optimizer must be a name, such as 'adam', or a class"):
            optimizer(wrong)  # type: ignore[arg-type]


def test_an_optimiser_of_ones_own_defines_update() -> None:
    class Sign(Optimizer):
        def update(self, i: int, w: float, gradient: float) -> float:  # noqa: ARG002
            return w - math.copysign(self.lr, gradient)

    parameters = with_gradients(3.0, -0.1)
    Sign(parameters, lr=0.5).step()
    assert [p.data for p in parameters] == [0.5, 1.5]
    with pytest.raises(NotImplementedError, match=r"Optimizer has no update\(i, w, gradient\)"):
        Optimizer(parameters, lr=0.5).step()


# --- state ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "options"), CASES)
def test_a_saved_state_goes_on_as_if_nothing_had_been(kind: str, options: Any) -> None:
    through = descend(optimizer(kind)([Value(x) for x in START], **options), 6)
    first = optimizer(kind)([Value(x) for x in START], **options)
    descend(first, 3)
    state = json.loads(json.dumps(first.state_dict()))
    make: Any = optimizer(kind)
    second = make([Value(p.data) for p in first.parameters])
    second.load_state_dict(state)
    assert descend(second, 3) == through[3:]
    assert second.state_dict() != state, "loading copies the lists"
    assert repr(second) == repr(make(second.parameters, **options))


WRONG_STATES: list[tuple[dict[str, Any], str]] = [
    ({"optimizer": "SGD"}, "Adam: this is the state of 'SGD'"),
    ({"means": None}, "Adam: the state lacks means"),
    ({"squares": [0.0]}, "Adam: the state has 1 squares for 2 parameters"),
    ({"betas": [0.9, 1.0]}, r"Adam: betas\[1\] must be >= 0 and < 1"),
    ({"lr": -1.0}, "Adam: lr must be finite and >= 0; got -1.0"),
]


@pytest.mark.parametrize(("change", "words"), WRONG_STATES)
def test_a_wrong_state_is_refused_and_changes_nothing(change: Any, words: str) -> None:
    stepper = Adam(with_gradients(1.0, 2.0), eps=1e-6)
    stepper.step()
    before = stepper.state_dict()
    other = {**before, "eps": 1e-3, "steps": [7, 7], **change}
    state = {key: value for key, value in other.items() if value is not None}
    with pytest.raises(ValueError, match=words):
        stepper.load_state_dict(state)
    assert stepper.state_dict() == before


# --- clipping -------------------------------------------------------------------------------------

gradients = st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=5)


@given(gradients, st.floats(1e-3, 1e4))
def test_clipping_by_value_bounds_each_gradient_alone(given_: list[float], limit: float) -> None:
    parameters = with_gradients(*given_)
    clip_by_value(parameters, limit)
    for p, before in zip(parameters, given_, strict=True):
        assert p.grad == (before if abs(before) <= limit else math.copysign(limit, before))


@given(gradients, st.floats(1e-3, 1e4))
def test_clipping_by_norm_bounds_the_length_and_keeps_the_direction(
    given_: list[float], limit: float
) -> None:
    parameters = with_gradients(*given_)
    norm = clip_by_norm(parameters, limit)
    assert norm == math.hypot(*given_)
    if norm <= limit:
        assert [p.grad for p in parameters] == given_
    else:
        assert math.hypot(*[p.grad for p in parameters]) == pytest.approx(limit, rel=1e-12)
        expected = [limit / norm * g for g in given_]
        assert [p.grad for p in parameters] == pytest.approx(expected, rel=1e-12)


def test_clipping_leaves_frozen_gradients_alone_and_out_of_the_norm() -> None:
    for clip in (clip_by_norm, clip_by_value):
        model = MLP(2, [1, 1])
        model.layers[0].freeze()
        for p in model.parameters():
            p.grad = 3.0
        norm = clip(model, 0.5)
        if clip is clip_by_norm:
            assert norm == pytest.approx(math.hypot(3.0, 3.0))
        grads = [p.grad for p in model.parameters()]
        assert grads[:3] == [3.0] * 3
        assert max(grads[3:]) <= 0.5
        assert min(grads[3:]) > 0.3


def test_a_nan_stays_one_by_value_and_is_an_error_by_norm() -> None:
    parameters = with_gradients(math.nan, 9.0)
    clip_by_value(parameters, 1.0)
    assert math.isnan(parameters[0].grad)
    with pytest.raises(ValueError, match=r"norm of the gradient is nan.*autograd\.diagnose"):
        clip_by_norm(parameters, 1.0)
    assert parameters[1].grad == 1.0


@pytest.mark.parametrize("clip", [clip_by_norm, clip_by_value])
@pytest.mark.parametrize("limit", [0.0, -1.0, math.nan, math.inf])
def test_a_limit_is_positive(clip: Any, limit: float) -> None:
    with pytest.raises(ValueError, match=f"{clip.__name__}: limit must be > 0 and finite"):
        clip(with_gradients(1.0), limit)


# --- schedules ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("case", "expected"), [*zip(SCHEDULES, FACTORS, strict=True)])
def test_ten_factors_are_those_of_pytorch(case: Any, expected: list[float]) -> None:
    name, arguments, *_ = case
    schedule = getattr(schedules, name)(*arguments)
    assert [schedule(epoch) for epoch in range(10)] == pytest.approx(expected, rel=1e-12)


def test_schedules_end_as_they_say() -> None:
    assert [schedules.constant()(epoch) for epoch in (0, 99)] == [1.0, 1.0]
    assert [schedules.cosine(4)(epoch) for epoch in (4, 5, 99)] == [0.0, 0.0, 0.0]
    warm = schedules.warmup(2, then=schedules.cosine(2))
    assert [warm(epoch) for epoch in range(5)] == pytest.approx([0.5, 1.0, 1.0, 0.5, 0.0])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: schedules.step(0), "step: every must be a number of epochs, at least 1; got 0"),
        (lambda: schedules.step(3, 0.0), r"step: factor must be > 0.*got 0\.0"),
        (lambda: schedules.exponential(math.nan), "exponential: factor must be > 0.*got nan"),
        (lambda: schedules.cosine(0), "cosine: epochs must be a number of epochs"),
        (lambda: schedules.cosine(5, 1.5), r"cosine: minimum must lie between 0 and 1; got 1\.5"),
        (lambda: schedules.warmup(-1), "warmup: epochs must be .* at least 1; got -1"),
    ],
)
def test_a_schedule_out_of_range_is_refused(make: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()
