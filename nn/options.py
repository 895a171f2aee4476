"""The options of `autograd train`."""

from __future__ import annotations

import argparse
from math import isfinite
from pathlib import Path
from typing import Any

from .activations import ACTIVATIONS
from .losses import LOSSES
from .optim import OPTIMIZERS

_DESCRIPTION = """\
Train a network, and print how well it does on examples that it hasn't seen.

moons, iris and digits come from scikit-learn. A FILE.csv is yours: its first line
names the columns, and fields are separated by , or ;. The target is the last column,
or --target. A target of text is classes; of numbers, numbers, or classes with a --loss
for classes. Any other column of text becomes one input per category. Inputs, and
targets that are numbers, are standardised by the training part.
"""
_EPILOG = """\
examples:
  autograd train moons --layers 16,16 --boundary moons.svg
  autograd train iris --epochs 100 --loss-curve iris.svg --save iris.json
  autograd train houses.csv --target price --layers 8 --optimizer sgd --lr 0.1
  autograd train digits --layers 32 --until 0.05 --save digits.safetensors

exit status: 0 done, 1 the training failed or a file can't be written, 2 the table or
the usage has to change. Ctrl-C ends the training and keeps what was learned.
"""


def parser() -> argparse.ArgumentParser:
    """Return the parser of what follows `autograd train`."""
    made = argparse.ArgumentParser(
        prog="autograd train",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    made.add_argument("data", metavar="moons|iris|digits|FILE.csv", help="what to learn")
    for name, options in _OPTIONS.items():
        made.add_argument(f"--{name}", **options)
    return made


def _widths(text: str) -> list[int]:
    return [_count(word) for word in text.split(",")] if text else []


def _count(text: str) -> int:
    word = text.strip()
    if not (word.isascii() and word.isdecimal() and word.strip("0")):
        message = f"{word!r} isn't a whole number from 1 on"
        raise argparse.ArgumentTypeError(message)
    return int(word)


def _positive(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not (isfinite(number) and number > 0.0):
        message = f"{text!r} isn't a number above 0; use one such as 0.1"
        raise argparse.ArgumentTypeError(message)
    return number


def _fraction(text: str) -> float:
    if not (number := _positive(text)) < 1.0:
        message = f"{text!r} isn't between 0 and 1; use one such as 0.2"
        raise argparse.ArgumentTypeError(message)
    return number


def _choice(names: dict[str, Any], default: str) -> dict[str, Any]:
    text = f"{', '.join(names)} (default: {default})"
    return {"choices": list(names), "metavar": "NAME", "help": text}


_OPTIONS: dict[str, dict[str, Any]] = {
    "target": {"metavar": "COLUMN", "help": "the column to predict (default: the last)"},
    "layers": {
        "metavar": "N,N",
        "type": _widths,
        "default": [16, 16],
        "help": 'widths of the hidden layers, "" for none (default: 16,16)',
    },
    "activation": {**_choice(ACTIVATIONS, "relu"), "default": "relu"},
    "loss": _choice(LOSSES, "by the target"),
    "optimizer": {**_choice(OPTIMIZERS, "adam"), "default": "adam"},
    "lr": {
        "metavar": "X",
        "type": _positive,
        "help": "learning rate (default: 0.1 for sgd, else 0.01)",
    },
    "epochs": {
        "metavar": "N",
        "type": _count,
        "default": 50,
        "help": "how often to go through the examples (default: 50)",
    },
    "batch-size": {
        "metavar": "N",
        "type": _count,
        "default": 16,
        "help": "examples per step (default: 16)",
    },
    "validation": {
        "metavar": "X",
        "type": _fraction,
        "default": 0.2,
        "help": "the part of the examples to judge by, not to train on (default: 0.2)",
    },
    "until": {"metavar": "X", "type": _positive, "help": "end when the loss is below X"},
    "seed": {
        "metavar": "N",
        "type": int,
        "default": 0,
        "help": "of the weights, the parts and the batches (default: 0)",
    },
    "loss-curve": {"metavar": "FILE", "type": Path, "help": "plot the losses (.svg, .png, .pdf)"},
    "boundary": {
        "metavar": "FILE",
        "type": Path,
        "help": "plot the classes over two inputs (.svg, .png, .pdf)",
    },
    "graph": {
        "metavar": "FILE",
        "type": Path,
        "help": "draw the graph of one example's loss (.svg, .dot, .png)",
    },
    "save": {
        "metavar": "FILE",
        "type": Path,
        "help": "write the parameters (.json, .safetensors)",
    },
}
