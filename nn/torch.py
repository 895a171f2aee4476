"""The same network in PyTorch, in double precision, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .activations import ACTIVATIONS, linear, name_of
from .blocks import Activation, Dropout, Sequential
from .conv import Conv2d, Flatten, MaxPool2d, MeanPool2d
from .layers import MLP, Layer, Neuron
from .normalize import BatchNorm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from .module import Module

_CLASSES = {
    "relu": "ReLU",
    "leaky_relu": "LeakyReLU",
    "elu": "ELU",
    "gelu": "GELU",
    "silu": "SiLU",
    "softplus": "Softplus",
    "sigmoid": "Sigmoid",
    "tanh": "Tanh",
}
_OPTIONS = {"Softplus": {"threshold": 40.0}}  # from where it is the identity: 20 costs digits
_DEFAULTS = {"negative_slope": 0.01, "alpha": 1.0, "approximate": "none", "beta": 1.0}


def to_torch(model: Module) -> Any:
    """Return a `torch.nn.Sequential` with the same values, gradients and parameters, in float64.

    It takes a tensor of rows, and returns one of rows where our model returns a Value per row. A
    layer becomes a Linear and, unless it is linear, an activation.

    Raises:
        ImportError: if PyTorch isn't installed.
        TypeError: for a module or an activation that PyTorch has no equal of.

    """
    torch = _torch()
    parts = _to_parts(torch, model)
    return torch.nn.Sequential(*parts).double().train(model.training)


def from_torch(module: Any) -> Sequential:
    """Return the `Sequential` with the same values, gradients and parameters as a PyTorch module.

    `module` is one of those that `to_torch` returns, or a torch.nn.Sequential made of the same
    parts. A Linear and the activation that follows it become a layer.

    Raises:
        ImportError: if PyTorch isn't installed.
        TypeError: for a module, or an option of one, that we have no equal of.

    """
    torch = _torch()
    parts = list(_flat(torch, module))
    modules: list[Module] = []
    while parts:
        part = parts.pop(0)
        kind = type(part).__name__
        if kind in _LAYERS:
            following = _activation_of(parts[0]) if parts else ""
            modules.append(_LAYERS[kind](part, following or "linear"))
            del parts[: bool(following)]
        elif name := _activation_of(part):
            modules.append(Activation(name))
        elif kind in _PLAIN:
            modules.append(_PLAIN[kind](part))
        else:
            message = f"we have no module that is equal to {part}"
            raise TypeError(message)
    model = Sequential(*modules)
    return model if module.training else model.eval()


def _torch() -> Any:
    try:
        import torch  # noqa: PLC0415  (large, and for those only who move on to it)
    except ImportError:
        message = "PyTorch isn't installed: pip install torch"
        raise ImportError(message) from None
    return torch


def _to_parts(torch: Any, module: Module) -> list[Any]:
    maker = _MAKERS.get(type(module))  # a subclass may be anything
    if maker is None:
        message = f"PyTorch has no module that is equal to {module.signature()}"
        raise TypeError(message)
    return maker(torch, module)


def _chained(torch: Any, modules: Iterable[Module]) -> list[Any]:
    return [part for module in modules for part in _to_parts(torch, module)]


def _to_activation(torch: Any, function: Callable[[Any], Any]) -> list[Any]:
    if function is linear:
        return []
    name = name_of(function)
    if name not in _CLASSES or function is not ACTIVATIONS[name]:
        message = f"PyTorch has no module that is equal to the activation {name!r}"
        raise TypeError(message)
    kind = _CLASSES[name]
    return [getattr(torch.nn, kind)(**_OPTIONS.get(kind, {}))]


def _to_linear(torch: Any, layer: Layer) -> list[Any]:
    first = layer.neurons[0]
    part = _blank(torch, "Linear", layer.nin, layer.nout, bias=first.b is not None)
    return [_filled(torch, part, layer.neurons), *_to_activation(torch, first.activation)]


def _to_convolution(torch: Any, module: Conv2d) -> list[Any]:
    first = module.kernels[0]
    channels = (module.channels_in, len(module.kernels))
    sizes = (module.size, module.stride, module.padding)
    part = _blank(torch, "Conv2d", *channels, *sizes, bias=first.b is not None)
    return [_filled(torch, part, module.kernels), *_to_activation(torch, first.activation)]


def _blank(torch: Any, kind: str, *sizes: int, bias: bool) -> Any:
    # Without weights: drawing them would use up PyTorch's global source of chance.
    part = getattr(torch.nn, kind)
    return torch.nn.utils.skip_init(part, *sizes, bias=bias, dtype=torch.float64)


def _filled(torch: Any, part: Any, neurons: Sequence[Neuron]) -> Any:
    weights = [[w.data for w in neuron.w] for neuron in neurons]
    with torch.no_grad():
        part.weight.copy_(torch.tensor(weights, dtype=torch.float64).reshape(part.weight.shape))
        if part.bias is not None:
            biases = [neuron.b.data for neuron in neurons if neuron.b is not None]
            part.bias.copy_(torch.tensor(biases, dtype=torch.float64))
    return part


def _to_batch_norm(torch: Any, module: BatchNorm) -> list[Any]:
    part = torch.nn.BatchNorm1d(module.n, eps=module.eps, momentum=module.momentum).double()
    pairs = (
        (part.weight, [p.data for p in module.scales]),
        (part.bias, [p.data for p in module.shifts]),
        (part.running_mean, module.mean),
        (part.running_var, module.variance),
    )
    with torch.no_grad():
        for tensor, numbers in pairs:
            tensor.copy_(torch.tensor(numbers, dtype=torch.float64))
    return [part]


_MAKERS: dict[type[Module], Callable[[Any, Any], list[Any]]] = {
    Sequential: _chained,
    MLP: lambda torch, m: _chained(torch, m.layers),
    Layer: _to_linear,
    Conv2d: _to_convolution,
    Activation: lambda torch, m: _to_activation(torch, m.function),
    BatchNorm: _to_batch_norm,
    Dropout: lambda torch, m: [torch.nn.Dropout(m.p)],
    MaxPool2d: lambda torch, m: [torch.nn.MaxPool2d(m.size, m.stride)],
    MeanPool2d: lambda torch, m: [torch.nn.AvgPool2d(m.size, m.stride)],
    Flatten: lambda torch, _m: [torch.nn.Flatten()],
}


def _flat(torch: Any, module: Any) -> Iterator[Any]:
    if not isinstance(module, torch.nn.Sequential):
        yield module
        return
    for part in module:
        yield from _flat(torch, part)


def _activation_of(part: Any) -> str:
    # Its name; "" for anything else, such as an activation with options of its own.
    names = [name for name, kind in _CLASSES.items() if kind == type(part).__name__]
    options = {option: getattr(part, option, usual) for option, usual in _DEFAULTS.items()}
    return names[0] if names and options == _DEFAULTS else ""


def _from_linear(part: Any, activation: str) -> Layer:
    layer = Layer(part.in_features, part.out_features, activation, bias=part.bias is not None)
    _set_neurons(layer.neurons, part)
    return layer


def _from_convolution(part: Any, activation: str) -> Conv2d:
    size, stride, padding = part.kernel_size[0], part.stride[0], part.padding[0]
    _require(part, kernel_size=(size, size), stride=(stride, stride), padding=(padding, padding))
    _require(part, dilation=(1, 1), groups=1, padding_mode="zeros")
    channels = (part.in_channels, part.out_channels)
    bias = part.bias is not None
    module = Conv2d(*channels, size, stride, padding, activation=activation, bias=bias)
    _set_neurons(module.kernels, part)
    return module


def _set_neurons(neurons: Sequence[Neuron], part: Any) -> None:
    for neuron, weights in zip(neurons, part.weight.flatten(1).tolist(), strict=True):
        for parameter, number in zip(neuron.w, weights, strict=True):
            parameter.data = number
    if part.bias is not None:
        for neuron, number in zip(neurons, part.bias.tolist(), strict=True):
            assert neuron.b is not None  # noqa: S101  (made with a bias, as the part has one)
            neuron.b.data = number


def _from_batch_norm(part: Any) -> BatchNorm:
    _require(part, affine=True, track_running_stats=True)
    module = BatchNorm(part.num_features, momentum=part.momentum, eps=part.eps)
    numbers = [*part.weight.tolist(), *part.bias.tolist()]
    for parameter, number in zip(module.parameters(), numbers, strict=True):
        parameter.data = number
    module.mean = part.running_mean.tolist()
    module.variance = part.running_var.tolist()
    return module


def _from_pool(kind: type[MaxPool2d | MeanPool2d], part: Any) -> Module:
    _require(part, padding=0, ceil_mode=False)
    return kind(part.kernel_size, part.stride)


_LAYERS: dict[str, Callable[[Any, str], Module]] = {
    "Linear": _from_linear,
    "Conv2d": _from_convolution,
}
_PLAIN: dict[str, Callable[[Any], Module]] = {
    "BatchNorm1d": _from_batch_norm,
    "Dropout": lambda part: Dropout(part.p),
    "Flatten": lambda _part: Flatten(),
    "MaxPool2d": lambda part: _from_pool(MaxPool2d, part),
    "AvgPool2d": lambda part: _from_pool(MeanPool2d, part),
}


def _require(part: Any, **options: Any) -> None:
    for option, wanted in options.items():
        if getattr(part, option) != wanted:
            message = f"we have no module that is equal to {part}: {option} must be {wanted}"
            raise TypeError(message)
