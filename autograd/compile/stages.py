"""Which instructions share a loop: a number that only the next operation needs stays in a register.

Instructions of one stage run through their nodes together. One may join the stage of another with
the same loops if it needs nothing that is computed later than that, and from within the stage only
numbers of the very node that it computes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .graph import CALL
from .tape import RESULT, ROW, TERMS, Instruction

if TYPE_CHECKING:
    from .storage import Places

MOST = 40  # instructions in one loop: with more, registers run out
ALONE = {"add_up", "add_product"}
SHORT = {
    *("add", "sub", "mul", "div", "neg", "abs", "sqrt", "fma", "fms", "fnma", "copysign", "copy"),
    *("if_less", "if_less_equal", "if_equal", "maximum", "minimum", "store"),
}
"""What the processor does in one or two instructions."""


def stage(steps: list[Instruction], places: Places) -> list[Instruction]:
    """Return the instructions of one space in their new order, each with its `stage`."""
    return _Stages(places).arrange(steps)


class _Stages:
    def __init__(self, places: Places) -> None:
        self.places = places
        self.of_block: dict[int, Instruction] = {}  # what computes a block
        self.stages: list[list[Instruction]] = []
        self.latest: dict[object, int] = {}  # the latest stage by its loops

    def arrange(self, steps: list[Instruction]) -> list[Instruction]:
        for step in steps:
            self._place(step)
            if step.out.space == step.home:
                self.of_block[self.places.block(step.out.base)] = step
        return [step for stage in self.stages for step in stage]

    def _place(self, step: Instruction) -> None:
        alike = _loops(step)
        found = self.latest.get(alike) if alike is not None else None
        if found is not None and self._may_join(step, found):
            step.stage = found
            self.stages[found].append(step)
            return
        step.stage = len(self.stages)
        self.stages.append([step])
        if alike is not None:
            self.latest[alike] = step.stage

    def _may_join(self, step: Instruction, found: int) -> bool:
        if len(self.stages[found]) >= MOST or step.code in TERMS:
            return False  # sums begin a stage, and what is done with each goes on in it
        if self.stages[found][0].code in TERMS and step.code not in SHORT:
            return False  # a function would drive the sums from their registers
        for operand in step.operands:
            if operand.space != step.home:
                continue
            for block in self.places.blocks(operand, step):
                maker = self.of_block.get(block)
                if maker is None or maker.stage < found:
                    continue
                same = operand.table is None and operand.base == maker.out.base
                same = same and operand.strides == maker.out.strides and operand.term == 0
                if maker.stage > found or not same:
                    return False
        return True


def keep(steps: list[Instruction], spaces: dict[str, Places]) -> None:
    """Mark the results that stay in memory: those that another stage, or the rows, need."""
    makers = {}
    for step in steps:
        step.kept = step.out.space == RESULT
        if not step.kept:
            makers[step.home, spaces[step.home].block(step.out.base)] = step
    for step in steps:
        for operand in step.operands:
            for block in spaces[operand.space].blocks(operand, step):
                maker = makers[operand.space, block]
                if (maker.home, maker.stage) != (step.home, step.stage):
                    maker.kept = True


def _loops(step: Instruction) -> object | None:
    # What has to be equal for two to share a loop; None for what has a loop of its own.
    if step.code in ALONE or step.code.startswith(CALL):
        return None
    both = (*step.operands, step.out)
    if step.home == ROW:
        # The innermost loop is over rows; how far nodes lie apart doesn't matter.
        return None if step.code == "store" else step.dims
    if step.code in TERMS or any(x.table is not None or x.strides[-1] not in (0, 1) for x in both):
        return None
    return step.dims
