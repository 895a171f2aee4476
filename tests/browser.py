"""Chromium, the stepper in it as a person finds it, and the walk through it beside `steps(y)`."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from selenium.webdriver import ActionChains, Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

import autograd
from autograd import Value, steps, tanh
from autograd.steps import show

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
DRIVER = shutil.which("chromedriver")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)

# Asked in one go, since the driver takes some 10 ms for each question.
GRADS = """
    const [root, prefix, count] = arguments;
    return Array.from({ length: count }, (_, i) => {
      const text = [...root.querySelectorAll(`[id="${prefix}-v${i + 1}"] text`)].at(-1);
      const seen = text.checkVisibility({ opacityProperty: true, visibilityProperty: true });
      return seen ? text.textContent.replaceAll('\xa0', ' ').trim() : '';
    });
"""

needed = pytest.mark.skipif(
    not (CHROMIUM and DRIVER),
    reason="no Chromium with its driver: apt install chromium chromium-driver",
)


@contextmanager
def chromium(profile: Path, *flags: str) -> Iterator[Chrome]:
    """Run Chromium on a fresh profile, with a log of what its pages complain of."""
    options = ChromeOptions()
    options.binary_location = CHROMIUM or ""
    for flag in (*FLAGS, *flags, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options=options, service=Service(DRIVER))
    try:
        yield driver
    finally:
        driver.quit()


class Page:
    """A page in the browser and the stepper on it, by what a person would look for."""

    def __init__(self, chrome, folder):
        self.chrome = chrome
        self.folder = folder
        self.number = 0

    def show(self, *steppers):
        """Open a page: a stepper's own, or several as the outputs of a notebook."""
        html = steppers[0].html
        if len(steppers) > 1:
            fragments = "".join(f"<section>{stepper.fragment}</section>" for stepper in steppers)
            html = f"<!DOCTYPE html><meta charset=utf-8><body>{fragments}"
        path = self.folder / "page.html"
        path.write_text(html, "utf-8")
        self.chrome.get(path.as_uri())
        self.prefix = steppers[0].prefix

    def size(self, width, height=800):
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def media(self, **features):
        named = [{"name": k.replace("_", "-"), "value": v} for k, v in features.items()]
        self.chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": named})

    def scripts(self, *, on):
        self.chrome.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": not on})

    def all(self, selector):
        """Return the elements within the stepper that is looked at."""
        return self.root().find_elements(By.CSS_SELECTOR, selector)

    def root(self):
        return self.chrome.find_elements(By.CSS_SELECTOR, ".ag-stepper")[self.number]

    def text(self, selector):
        return self.all(selector)[0].get_property("textContent")

    def click(self, name):
        (button,) = self.all(f'button[aria-label="{name}"]')
        button.click()

    def press(self, *keys):
        ActionChains(self.chrome).send_keys(*keys).perform()

    def value(self, number):
        return self.all(f'[id="{self.prefix}-v{number}"]')[0]

    def lit(self):
        """Return the keys of what is highlighted: v3, o3, r3, e3_0."""
        ids = "return [...arguments[0].querySelectorAll('.ag-on')].map((x) => x.id)"
        return {key.partition("-")[2] for key in self.run(ids, self.root())}

    def grad(self, number):
        return self.value(number).find_elements(By.CSS_SELECTOR, "text")[-1].text

    def grads(self, count):
        """Return `grad` of the first so many values; "" for one that can't be seen."""
        return self.run(GRADS, self.root(), self.prefix, count)

    def run(self, script, *arguments):
        return self.chrome.execute_script(script, *arguments)


def neuron():
    x1, x2 = Value(2.0, "x1"), Value(0.0, "x2")
    w1, w2 = Value(-3.0, "w1"), Value(1.0, "w2")
    o = tanh(x1 * w1 + x2 * w2 + Value(6.8813735870195432, "b"))
    o.label = "o"
    return o


def box_numbers(y):
    """Return the number of each value's box, all drawn one by one."""
    return autograd.stepper(y)._drawing.numbers


def places(y):
    """Return, for each step, the operand that it goes to."""
    found: list[tuple[Value, int]] = []
    for step in steps(y):
        operands = step.value.operands
        taken = sum(s is step.value for s, _ in found)
        place = [i for i, x in enumerate(operands) if isinstance(x, Value)][taken]
        found.append((step.value, place))
    return [place for _, place in found]


def walk_back(page, y):
    """Click through the backward pass, and compare each step's document with `steps(y)`."""
    number = box_numbers(y)
    page.all(".ag-bar button")[6].click()  # Backward
    assert page.text(".ag-equation") == f"∂{y.label}/∂{y.label} = 1"
    assert page.lit() == {f"v{number[y]}"}
    grads = {number[y]: "1"}
    for step, place in zip(steps(y), places(y), strict=True):
        page.click("Next step")
        head, tail = number[step.value], number[step.parent]
        assert page.text(".ag-equation") == str(step)
        assert page.lit() == {f"v{tail}", f"v{head}", f"o{head}", f"r{head}", f"e{head}_{place}"}
        grads[tail] = show(step.accumulated)
        assert page.grads(len(number)) == [
            f"grad {grads.get(n, '–')}" for n in range(1, len(number) + 1)
        ]
    assert page.all('button[aria-label="Next step"][aria-disabled="true"]')
