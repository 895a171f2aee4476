"""What every part of a network is: parameters that are found by themselves, and their names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

from autograd import Value, scope

if TYPE_CHECKING:
    from collections.abc import Callable


class Module:
    """A function with parameters.

    A subclass sets its parts as attributes and defines `forward(x)`; `module(x)` calls it. Parts
    are leaf Values (the parameters), other modules, and (nested) lists or tuples of these. They are
    found by themselves, in the order in which the attributes were first set, and named after them:
    `layers = [...]` gives layer1, layer2, ..., `w = [...]` gives w1, w2, ..., a list in a list
    w1_1, w1_2, .... Attributes whose name begins with an underscore are left alone: what is no
    parameter goes there.

    >>> class Line(Module):
    ...     def __init__(self):
    ...         self.slope = Value(2.0)
    ...         self.height = Value(1.0)
    ...
    ...     def forward(self, x):
    ...         return self.slope * x + self.height
    >>> [name for name, _ in Line().named_parameters()]
    ['slope', 'height']
    """

    # On the class, so that a subclass needs no super().__init__(). `statistics` names attributes
    # that hold a list of numbers which are not trained, but saved.
    statistics: ClassVar[tuple[str, ...]] = ()
    training: bool = True
    textbook: bool = False
    frozen: bool = False
    scope_name: str = ""

    def __call__(self, *inputs: Any) -> Any:
        """Return `forward(*inputs)`; what `textbook` modules compute is scoped by their names."""
        if self.textbook and self.scope_name:  # a scope costs every node something
            with scope(self.scope_name):
                return self.forward(*inputs)
        return self.forward(*inputs)

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """Return the module's value."""
        message = f"{type(self).__name__} has no forward(x): define it"
        raise NotImplementedError(message)

    def batch(self, rows: Any) -> list[Any]:
        """Return [module(x) for x in rows]; a BatchNorm in it uses the statistics of these rows."""
        return self.forward_batch(list(rows))

    def forward_batch(self, rows: list[Any]) -> list[Any]:
        """Return the module's values at all rows: for a subclass that mixes rows."""
        return [self(x) for x in rows]

    # --- parts -----------------------------------------------------------------------------------

    def named_modules(self) -> list[tuple[str, Module]]:
        """Return this module, named "", and all modules inside it, each once, by name."""
        return list(_Parts(self).modules.values())

    def modules(self) -> list[Module]:
        """Return this module and all modules inside it, each once."""
        return [module for _, module in self.named_modules()]

    def named_parameters(self, *, trainable: bool = False) -> list[tuple[str, Value]]:
        """Return the (name, parameter) pairs, each parameter once; with `trainable`, none frozen.

        Raises:
            ValueError: if two parameters have one name.

        """
        parts = _Parts(self)
        _check_unique(list(parts.parameters.values()), type(self).__name__)
        left_out = parts.frozen if trainable else ()
        return [(name, p) for p, name in parts.parameters.items() if p not in left_out]

    def parameters(self) -> list[Value]:
        """Return all parameters, frozen ones included, in the order of `named_parameters()`."""
        return list(_Parts(self).parameters)

    def trainable_parameters(self) -> list[Value]:
        """Return the parameters that are not frozen."""
        return [parameter for _, parameter in self.named_parameters(trainable=True)]

    # --- state -----------------------------------------------------------------------------------

    def zero_grad(self) -> None:
        """Set the gradient of every parameter to 0."""
        for parameter in self.parameters():
            parameter.grad = 0.0

    def freeze(self) -> Self:
        """Keep this module's parameters, and those of all modules in it, from being trained."""
        return self._set_everywhere("frozen", value=True)

    def unfreeze(self) -> Self:
        """Let this module's parameters, and those of all modules in it, be trained again."""
        return self._set_everywhere("frozen", value=False)

    def train(self) -> Self:
        """Switch to training: `Dropout` drops, `BatchNorm` uses the statistics of the batch."""
        return self._set_everywhere("training", value=True)

    def eval(self) -> Self:
        """Switch to evaluation: `Dropout` passes all, `BatchNorm` uses its running statistics."""
        return self._set_everywhere("training", value=False)

    def _set_everywhere(self, flag: str, *, value: bool) -> Self:
        for module in self.modules():
            setattr(module, flag, value)
        return self

    # --- for people ------------------------------------------------------------------------------

    def __repr__(self) -> str:
        """Return a line per module, indented: the call that makes it and how much it learns."""
        count = len(self.parameters())
        text = f"{self.signature()}: {count} parameter{'s'[: count != 1]}"
        lines = [f"{text}, frozen" if self.frozen else text]
        for name, module in self.named_modules():
            if name and "." not in name:
                first, *rest = repr(module).splitlines()
                lines += [f"  {name}: {first}", *(f"  {line}" for line in rest)]
        return "\n".join(lines)

    def signature(self) -> str:
        """Return the call that makes such a module, as text; a subclass says more."""
        return f"{type(self).__name__}()"


class _Parts:
    """The modules and the parameters in a module, by name, and which of these are frozen."""

    def __init__(self, root: Module) -> None:
        self.modules: dict[int, tuple[str, Module]] = {}
        self.parameters: dict[Value, str] = {}  # a Value's hash is its identity
        self.frozen: set[Value] = set()
        self._add_module("", root)

    def _add_module(self, path: str, module: Module) -> None:
        if id(module) in self.modules:
            return
        self.modules[id(module)] = (path, module)
        prefix = f"{path}." if path else ""
        for name, thing in vars(module).items():
            if name[0] != "_":
                self._add(f"{prefix}{name}", thing, frozen=module.frozen)

    def _add(self, name: str, thing: Any, *, frozen: bool) -> None:
        if type(thing) is Value:
            if thing.op is None:
                self.parameters.setdefault(thing, name)
                if frozen:
                    self.frozen.add(thing)
        elif isinstance(thing, list | tuple):
            stem = _stem(name)
            for number, part in enumerate(thing, start=1):
                self._add(f"{stem}{number}", part, frozen=frozen)
        elif isinstance(thing, Module):
            self._add_module(name, thing)


def name_parts(root: Module) -> None:
    """Label every parameter with its name in `root`, and scope it and its module by the path.

    Drawings frame what is in one scope; steps and errors show the labels.
    """
    for name, module in root.named_modules():
        module.scope_name = name.rpartition(".")[2]
    for name, parameter in root.named_parameters():
        parameter.label = name
        parameter.scope = "/".join(name.split(".")[:-1]) or None


def elementwise(function: Callable[..., Any], *xs: Any) -> Any:
    """Return function(x, y, ...) for each element of equally (and perhaps deeply) nested lists."""
    if not hasattr(xs[0], "__len__"):
        return function(*xs)
    return [elementwise(function, *parts) for parts in zip(*xs, strict=True)]


def vector(x: Any) -> Any:
    """Return x as a sequence: a single Value or number as a list of one."""
    return x if hasattr(x, "__len__") else [x]


def check_size(module: Module, x: Any, expected: int, what: str = "input") -> None:
    """Raise a ValueError that names the module unless x has that many elements."""
    if len(x) == expected:
        return
    message = f"{module.signature()} got {len(x)} {what}{'s'[: len(x) != 1]}; expected {expected}"
    if len(x) and hasattr(x[0], "__len__"):
        message += ": these are rows, which module.batch(rows) takes"
    raise ValueError(message)


def check_width(owner: str, name: str, width: Any, least: int = 1) -> int:
    """Return a width; raise a TypeError or ValueError unless it is a whole number, large enough."""
    if isinstance(width, bool) or not isinstance(width, int):
        message = f"{owner}: {name} (={width!r}) must be a whole number, such as 16"
        raise TypeError(message)
    if width < least:
        message = f"{owner}: {name} (={width}) must be at least {least}"
        raise ValueError(message)
    return width


def _stem(name: str) -> str:
    if name[-1].isdigit():
        return f"{name}_"
    plural = name[-1] == "s" and name[-2:-1].isalpha() and not name.endswith(("ss", "bias"))
    return name[:-1] if plural else name


def _check_unique(names: list[str], owner: str) -> None:
    if len(set(names)) == len(names):
        return
    double = next(name for name in names if names.count(name) > 1)
    message = f"two parameters of {owner} are called {double!r}: rename one of the attributes"
    raise ValueError(message)
