"""Where `Value` gets the operations as methods, such as `v.tanh()`.

The methods themselves are made from the table in ops.py when value.py is imported; methods.pyi
lists them for editors and type checkers and is written by `python -m tests.generate`.
"""

from .op import Operand


class Methods(Operand):
    """Base class of `Value`: one method for each operation of a fixed number of operands."""

    __slots__ = ()
