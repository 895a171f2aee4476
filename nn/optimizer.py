"""What all optimisers have in common: parameters, learning rate, steps, and state to save."""

from __future__ import annotations

from copy import copy
from math import inf
from typing import TYPE_CHECKING, Any, ClassVar

from autograd import Value

from .module import Module

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    Parameters = Module | Iterable[Value]


class Optimizer:
    """Moves parameters along their gradients; a subclass defines `update` and what it remembers.

    `parameters` is a module or a list of leaf Values. Of a module, a step leaves alone what is
    frozen at that time; a list is trained as it is (there is `module.trainable_parameters()`).
    `weight_decay` is L2 regularisation: weight_decay · w is added to the gradient of each w, as if
    the loss had the term ½ · weight_decay · Σ w².

    Raises:
        TypeError: if `parameters` isn't that.
        ValueError: if it is empty, holds a Value twice or a computed one, or if an option is out of
            its range.

    """

    options: ClassVar[tuple[str, ...]] = ("weight_decay",)
    averages: ClassVar[tuple[str, ...]] = ()  # what is remembered, a number for each parameter

    def __init__(self, parameters: Parameters, lr: float, weight_decay: float = 0.0) -> None:
        self.parameters = leaves(parameters, type(self).__name__)
        self._model = parameters if isinstance(parameters, Module) else None
        self._modules = self._model.modules() if self._model else []
        self.lr = check_positive(type(self).__name__, "lr", lr)
        self.weight_decay = self.check("weight_decay", weight_decay)
        self.steps = [0] * len(self.parameters)
        for name in self.averages:
            setattr(self, name, [0.0] * len(self.parameters))

    @property
    def lr(self) -> float:
        """The learning rate. It may be set to 0, with which a schedule may end."""
        return self._lr

    @lr.setter
    def lr(self, lr: float) -> None:
        self._lr = self.check("lr", lr)

    def zero_grad(self) -> None:
        """Set the gradient of every parameter to 0."""
        for p in self.parameters:
            p.grad = 0.0

    def step(self) -> None:
        """Move every parameter that isn't frozen along the gradient that it has now."""
        frozen = self.frozen()
        for i, p in enumerate(self.parameters):
            if p not in frozen:
                self.steps[i] += 1
                p.data = self.update(i, p.data, p.grad)

    def frozen(self) -> set[Value]:
        """Return the parameters that a step leaves alone now."""
        # Asked anew at each step, since `freeze()` may be called between two; all parameters are
        # gone through only if there is something to find.
        if self._model is None or not any(module.frozen for module in self._modules):
            return set()
        return set(self.parameters).difference(self._model.trainable_parameters())

    def update(self, i: int, w: float, gradient: float) -> float:
        """Return what parameter i, which is w now, becomes; `self.steps[i]` counts from 1."""
        message = f"{type(self).__name__} has no update(i, w, gradient): define it"
        raise NotImplementedError(message)

    def formula(self) -> Callable[..., list[Any]]:
        """Return what `update` computes, as a function of numbers or Values.

        It takes [w, what is remembered of it, ...], the gradient, lr and the number of steps, and
        returns the same list after the step. `update` may ask for what is remembered of its
        parameter i, but not which one it is: the formula is that of them all.
        """
        names = self.averages
        bare = copy(self)  # with the options alone
        vars(bare).update(parameters=[], steps=[], _lr=0.0, _model=None, _modules=[])
        vars(bare).update(dict.fromkeys(names, ()))

        def update(numbers: Sequence[Any], gradient: Any, lr: Any, steps: Any) -> list[Any]:
            twin, i = copy(bare), object()
            remembered = zip(names, numbers[1:], strict=True)
            vars(twin).update({name: {i: number} for name, number in remembered})
            vars(twin).update(_lr=lr, steps={i: steps})  # lr's setter would compare it
            w = twin.update(i, numbers[0], gradient)  # type: ignore[arg-type]  # known by i alone
            return [w, *(getattr(twin, name)[i] for name in names)]

        return update

    # --- state -----------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Return all that the next step depends on: text, numbers and lists of them, as in JSON."""
        remembered = {name: list(getattr(self, name)) for name in self._remembered()}
        return {"optimizer": type(self).__name__, "lr": self.lr, **self._options(), **remembered}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict()` returned. On an error nothing is changed.

        Raises:
            ValueError: if it is of another optimiser or of another number of parameters, if
                something is missing, or an option is out of its range.

        """
        self._check_state(state)
        options = {name: state[name] for name in self.options}
        checked = type(self)(self.parameters, lr=1.0, **options)
        self.lr = state["lr"]
        for name in self.options:
            setattr(self, name, getattr(checked, name))
        for name in self._remembered():
            setattr(self, name, list(state[name]))

    def _check_state(self, state: dict[str, Any]) -> None:
        owner, count = type(self).__name__, len(self.parameters)
        if state.get("optimizer") != owner:
            message = f"{owner}: this is the state of {state.get('optimizer')!r}"
            raise ValueError(message)
        if missing := {"lr", *self.options, *self._remembered()} - set(state):
            message = f"{owner}: the state lacks {', '.join(sorted(missing))}"
            raise ValueError(message)
        for name in self._remembered():
            if len(state[name]) != count:
                message = f"{owner}: the state has {len(state[name])} {name} for {count} parameters"
                raise ValueError(message)

    def __repr__(self) -> str:
        options = {"lr": self.lr, **self._options()}
        text = ", ".join(f"{name}={value!r}" for name, value in options.items())
        count = len(self.parameters)
        return f"{type(self).__name__}({text}): {count} parameter{'s'[: count != 1]}"

    def _options(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.options}

    def _remembered(self) -> tuple[str, ...]:
        return ("steps", *self.averages)

    def check(self, name: str, number: float, below: float = inf) -> float:
        """Return an option's number; raise a ValueError unless 0 <= number < below."""
        if not 0.0 <= number < below:
            rule = "finite and >= 0" if below == inf else f">= 0 and < {below:g}"
            message = f"{type(self).__name__}: {name} must be {rule}; got {number!r}"
            raise ValueError(message)
        return number


def check_positive(owner: str, name: str, number: float) -> float:
    """Return an option's number; raise a ValueError unless it is > 0 and finite."""
    if not 0.0 < number < inf:
        message = f"{owner}: {name} must be > 0 and finite; got {number!r}"
        raise ValueError(message)
    return number


def leaves(parameters: Parameters, owner: str) -> list[Value]:
    """Return the list of the parameters; raise a TypeError or ValueError as `Optimizer`."""
    found = parameters.parameters() if isinstance(parameters, Module) else parameters
    if not hasattr(found, "__iter__"):
        message = f"{owner}: parameters must be a module or a list of Values; got {found!r}"
        raise TypeError(message)
    found = list(found)
    if not found:
        message = f"{owner}: there are no parameters to train; pass the model, or a list of Values"
        raise ValueError(message)
    places: dict[int, int] = {}
    for i, p in enumerate(found):
        if not isinstance(p, Value):
            message = f"{owner}: parameters[{i}] must be a Value; got {p!r}"
            raise TypeError(message)
        if p.op is not None:
            message = (
                f"{owner}: parameters[{i}] was computed by {p.op.name}; only a leaf, made by "
                "Value(number), can be moved"
            )
            raise ValueError(message)
        if (first := places.setdefault(id(p), i)) != i:
            message = f"{owner}: parameters[{i}] is parameters[{first}] again; pass each one once"
            raise ValueError(message)
    return found
