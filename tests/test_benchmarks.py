"""The benchmarks run and print what they say they print; how fast anything is isn't tested."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

from autograd.draw import layout

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
PEERS = ("micrograd", "xad", "torch")


@pytest.fixture(scope="module")
def eager_text():
    command = [sys.executable, str(BENCHMARKS / "eager.py"), "--quick"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_eager_prints_a_table_per_workload_with_a_line_for_each_way_to_run_our_engine(eager_text):
    for workload in ("mixed", "growth", "dot", "chain"):
        assert re.search(rf"^{workload}: ", eager_text, re.MULTILINE)
    for name in ("collector on", "collector off", "in no_collector()"):
        number = r"\s+[\d,]+"
        row = rf"^autograd, {re.escape(name)}{number * 4}\s+-?[\d,]+\s+[\d.]+\s+[\d.]+$"
        assert len(re.findall(row, eager_text, re.MULTILINE)) == 2


def test_eager_says_of_each_aim_whether_it_is_met(eager_text):
    aims = [line for line in eager_text.splitlines() if line.startswith("aim: ")]
    assert len(aims) >= 5
    assert all(re.search(r": [\d.]+, (met|NOT MET)$", line) for line in aims)


def test_eager_names_a_peer_that_is_absent_and_compares_the_gradients_of_one_that_is_there(
    eager_text,
):
    for peer in PEERS:
        there = importlib.util.find_spec(peer) is not None
        expected = "same gradients" if there else "not installed, left out"
        assert re.search(rf"^{peer}: {expected}", eager_text, re.MULTILINE)


def test_draw_prints_a_line_for_each_graph_and_engine_and_names_a_peer_that_is_absent():
    command = [sys.executable, str(BENCHMARKS / "draw.py"), "--quick"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for graph in ("scoped", "unscoped", "chain"):
        for engine in layout.available():
            row = rf"^{graph} 100, {engine}\s+\d+(\s+[\d,.]+ \([\d,.]+\)\s+[\d,]+){{3}}$"
            assert re.search(row, done.stdout, re.MULTILINE)
    for peer in ("micrograd's recipe", "torchviz"):
        assert re.search(rf"^{peer}(: not installed|, chain 100)", done.stdout, re.MULTILINE)
    assert re.search(r"^aim: .*: [\d.]+, (met|NOT MET)$", done.stdout, re.MULTILINE)


def test_checkers_confirms_its_cases_and_prints_a_row_for_each_way_to_call_ours(tmp_path):
    command = [sys.executable, str(BENCHMARKS / "checkers.py"), "--peers", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "mpmath: 100 gradients are wrong, 100 right" in done.stdout
    for name in ("ours", "ours, in a graph"):
        row = rf"^{name}( +[\d.]+){{2}} +[\d-]+( +[\d.]+){{2}}$"
        assert re.search(row, done.stdout, re.MULTILINE)
    for peer in ("torch gradcheck", "JAX check_grads", "HIPS autograd check_grads"):
        assert f"{peer}: not in {tmp_path}, left out" in done.stdout
    # How well the checker judges is no matter of speed: it misses none and alarms at none.
    assert len(re.findall(r"^aim: ours.* <= 0: 0, met$", done.stdout, re.MULTILINE)) == 4


def test_verdicts_counts_what_was_called_wrong_and_what_was_missed():
    command = [sys.executable, str(BENCHMARKS / "verdicts.py"), "--checks", "500"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(re.findall(r"^aim: .* <= 0: 0, met$", done.stdout, re.MULTILINE)) == 2


def test_train_compares_its_engines_and_says_of_each_aim_whether_it_is_met():
    command = [sys.executable, str(BENCHMARKS / "train.py"), "--quick"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "moons, textbook: same losses and gradients, 337 of them" in done.stdout
    for problem in ("moons", "digits", "fit"):
        assert re.search(rf"^{problem}: ms per step", done.stdout, re.MULTILINE)
    for peer in ("micrograd", "xad"):
        there = importlib.util.find_spec(peer) is not None
        expected = f"moons, {peer}: same" if there else f"{peer}: not installed, left out"
        assert expected in done.stdout
    assert re.search(r"^aim: fit, .*: [\d.]+, (met|NOT MET)$", done.stdout, re.MULTILINE)


def test_compile_compares_its_lines_and_says_of_each_aim_whether_it_is_met(tmp_path):
    # Without peers, and without the cases that take half a minute.
    options = ["--quick", "--peers", str(tmp_path), "--engines", "ours,c,numpy,torch,casadi"]
    options += ["--cases", "rosenbrock10,compile"]
    command = [sys.executable, str(BENCHMARKS / "compile.py"), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for line in ("ours, bound", "ours, called", "numpy by hand"):
        assert len(re.findall(rf"^{line}( +[\d.,]+){{3}}$", done.stdout, re.MULTILINE)) == 1
    for peer in ("torch", "casadi"):
        there = importlib.util.find_spec(peer) is not None
        assert there or f"{peer}: not installed, left out" in done.stdout
    for figure in ("compile moons 100, seconds", "irregular 1000, ns per operation"):
        verdict = rf"^aim: {figure} <= [\d.]+: [\d.]+, (met|NOT MET)$"
        assert re.search(verdict, done.stdout, re.MULTILINE)
