"""Neural networks on top of `autograd`: thin enough to read, and watched while they learn.

>>> from nn import MLP, SGD, mse
>>> model = MLP(2, [4, 1], "tanh")
>>> optimizer = SGD(model, lr=0.05)
>>> for epoch in range(100):
...     loss = mse([model(x) for x in ([0.0, 1.0], [1.0, 1.0])], [1.0, -1.0])
...     model.zero_grad()
...     loss.backward()
...     optimizer.step()
>>> loss.data < 0.01
True
"""

from __future__ import annotations

from . import plots, schedules
from .activations import ACTIVATIONS, activation
from .blocks import Activation, Dropout, Residual, Sequential
from .clipping import clip_by_norm, clip_by_value
from .conv import Conv2d, Flatten, MaxPool2d, MeanPool2d
from .csv import read_csv
from .data import split
from .diagnose import Diagnosis, diagnose
from .fit import fit
from .history import History
from .init import initializer
from .layers import MLP, Layer, Neuron
from .losses import (
    binary_cross_entropy,
    cross_entropy,
    half_mse,
    hinge,
    huber,
    loss,
    mae,
    max_margin,
    mse,
)
from .metrics import accuracy
from .module import Module
from .normalize import BatchNorm, Standardize
from .optim import SGD, Adam, AdamW, RMSprop, optimizer
from .optimizer import Optimizer
from .recurrent import RNN, RNNCell
from .save import load, save
from .torch import from_torch, to_torch
from .watch import Watching, watch

__all__ = [
    "ACTIVATIONS",
    "MLP",
    "RNN",
    "SGD",
    "Activation",
    "Adam",
    "AdamW",
    "BatchNorm",
    "Conv2d",
    "Diagnosis",
    "Dropout",
    "Flatten",
    "History",
    "Layer",
    "MaxPool2d",
    "MeanPool2d",
    "Module",
    "Neuron",
    "Optimizer",
    "RMSprop",
    "RNNCell",
    "Residual",
    "Sequential",
    "Standardize",
    "Watching",
    "accuracy",
    "activation",
    "binary_cross_entropy",
    "clip_by_norm",
    "clip_by_value",
    "cross_entropy",
    "diagnose",
    "fit",
    "from_torch",
    "half_mse",
    "hinge",
    "huber",
    "initializer",
    "load",
    "loss",
    "mae",
    "max_margin",
    "mse",
    "optimizer",
    "plots",
    "read_csv",
    "save",
    "schedules",
    "split",
    "to_torch",
    "watch",
]
