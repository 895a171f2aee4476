"""The processor of this machine: what it can do, and how code for it is made and loaded."""

from __future__ import annotations

import ctypes
import os
from contextlib import nullcontext
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

import llvmlite
from llvmlite import binding

from .lanes import lend_libm

if TYPE_CHECKING:
    from llvmlite import ir

# Lines of LLVM's language beyond which code is made in a seventh of the time, and is slower: what
# is so long is irregular, and waits for its operands more than for anything else.
LONG = 25_000

_lock = Lock()  # LLVM's own state isn't made for two threads at once
# llvmlite's own, which is held for each call of LLVM, also where something is freed.
_calls = getattr(binding.ffi.lib, "_lock", nullcontext())


def _enter() -> None:
    _lock.acquire()
    _calls.__enter__()


def _leave() -> None:
    _calls.__exit__(None, None, None)
    _lock.release()


if hasattr(os, "register_at_fork"):
    # A process is copied with its locks, but without the other threads, which would free them.
    os.register_at_fork(before=_enter, after_in_parent=_leave, after_in_child=_leave)


class Processor(NamedTuple):
    """A processor by its name and features, and the doubles that one of its vectors holds."""

    triple: str
    name: str
    features: str
    width: int
    has_fma: bool


@cache
def processor() -> Processor:
    """Return the processor of this machine."""
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    found = binding.get_host_cpu_features()
    is_arm = binding.get_process_triple().startswith(("aarch64", "arm64"))
    width = 8 if found.get("avx512f") else 4 if found.get("avx2") else 2
    return Processor(
        binding.get_process_triple(),
        binding.get_host_cpu_name(),
        found.flatten(),
        width,
        bool(found.get("fma")) or is_arm,
    )


def identity() -> tuple[Any, ...]:
    """Return what makes code for this machine: LLVM by its versions, and the processor."""
    return llvmlite.__version__, binding.llvm_version_info, *processor()


def _target_machine(size: int = 0) -> binding.TargetMachine:
    here = processor()
    target = binding.Target.from_triple(here.triple)
    return target.create_target_machine(
        cpu=here.name,
        features=here.features,
        opt=2 if size < LONG else 0,
        jit=True,
        codemodel="jitdefault",
    )


def compile_module(module: ir.Module) -> bytes:
    """Return the object file of a module, for this processor."""
    text = str(module)
    with _lock:
        parsed = binding.parse_assembly(text)
        parsed.triple = processor().triple
        return bytes(_target_machine(text.count("\n")).emit_object(parsed))


def assembly(text: str) -> str:
    """Return the machine code, as text, of a module in LLVM's language."""
    with _lock:
        processor()
        parsed = binding.parse_assembly(text)
        return str(_target_machine(text.count("\n")).emit_assembly(parsed))


class Code:
    """Machine code that has been loaded; it goes when nobody holds it any more."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        with _lock:
            processor()
            empty = binding.parse_assembly("")
            self._engine = binding.create_mcjit_compiler(empty, _target_machine())
            lend_libm()
            self._engine.add_object_file(binding.ObjectFileRef.from_data(data))
            self._engine.finalize_object()
            self.run = self._engine.get_function_address("run")
            self.call = self._engine.get_function_address("call")
        self.run_function = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)(self.run)
