"""The stepper in a browser: what the document holds after each click, beside `steps(y)`."""

from __future__ import annotations

import re
from itertools import pairwise
from math import sin
from pathlib import Path
from typing import TYPE_CHECKING

import browser
import pytest
from browser import Page, neuron, walk_back
from selenium.webdriver import Keys
from selenium.webdriver.common.by import By

import autograd
from autograd import Value, scope, steps, tanh
from autograd.draw import passes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from selenium.webdriver import Chrome

pytestmark = [pytest.mark.browser, browser.needed]


@pytest.fixture(scope="module")
def chrome(tmp_path_factory) -> Iterator[Chrome]:
    with browser.chromium(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


@pytest.fixture
def page(chrome, tmp_path) -> Iterator[Page]:
    page = Page(chrome, tmp_path)
    page.size(1100)
    page.media()
    page.scripts(on=True)
    chrome.get_log("browser")  # forgets what came before
    yield page
    assert chrome.get_log("browser") == []


def twice():
    a = Value(3.0, "a")
    y = a + a
    y.label = "y"
    return y


def diamond():
    a = Value(-2.0, "a")
    b = Value(3.0, "b")
    d, e = a * b, a + b
    d.label, e.label = "d", "e"
    f = d * e
    f.label = "f"
    return f


@pytest.mark.parametrize("function", [neuron, twice, diamond])
def test_each_backward_step_shows_its_equation_edge_and_running_gradient(page, function):
    y = function()
    page.show(autograd.stepper(y))
    walk_back(page, y)


def test_a_value_that_is_reached_again_shows_the_sum(page):
    page.show(autograd.stepper(twice()))
    page.click("Last step")
    assert page.text(".ag-equation") == "∂y/∂a = ∂y/∂y · ∂y/∂a = 1 × 1 = 1, with 1 from before: 2"
    assert page.text(".ag-sum") == "reached again: 1 + 1 = 2"
    page.click("Previous step")
    assert page.text(".ag-sum") == ""
    assert page.grad(1) == "grad 1"


def test_the_forward_pass_comes_first_value_by_value(page):
    y = neuron()
    page.show(autograd.stepper(y))
    assert page.text(".ag-count") == "forward 0 / 10"
    assert page.lit() == set()
    later = lambda: [x.get_attribute("id") for x in page.all(".ag-value.ag-later")]  # noqa: E731
    assert later() == []
    for count in range(1, 11):
        page.click("Next step")
        assert len(later()) == 10 - count
        assert f"v{count}" in page.lit()
        if count == 3:
            assert page.text(".ag-equation") == "v1 = x1 × w1 = 2 × (-3) = -6"
            assert page.lit() == {"v3", "o3", "r3", "e3_0", "e3_1"}
    assert page.text(".ag-equation") == "o = tanh(v4) = tanh(0.8814) = 0.7071"
    assert set(page.grads(10)) == {"grad –"}


def test_the_keyboard_steps_from_anywhere_on_the_page(page):
    page.show(autograd.stepper(neuron()))
    page.press(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert page.text(".ag-equation") == "w1 = -3"
    page.press(Keys.ARROW_LEFT)
    assert page.text(".ag-equation") == "x1 = 2"
    page.press(Keys.END)
    assert page.text(".ag-count") == "backward 9 / 9"
    page.press(Keys.HOME)
    assert page.text(".ag-count") == "forward 0 / 10"


def test_the_slider_has_a_name_and_its_own_keys(page):
    page.show(autograd.stepper(neuron()))
    (slider,) = page.all('input[type="range"]')
    assert slider.accessible_name == "Step"
    slider.send_keys(Keys.ARROW_RIGHT)
    assert page.text(".ag-equation") == "x1 = 2"
    assert slider.get_attribute("aria-valuetext") == "forward 1 of 10"
    slider.send_keys(Keys.END)
    assert page.text(".ag-count") == "backward 9 / 9"


def test_everything_that_can_be_pressed_has_a_name_and_a_focus_that_is_seen(page):
    page.show(autograd.stepper(diamond()))
    names = [x.accessible_name for x in page.all("button")]
    assert names[:5] == ["First step", "Previous step", "Next step", "Last step", "Play"]
    assert all(names)
    assert page.value(1).accessible_name == "a: show its gradient"
    page.press(Keys.TAB)
    outline = page.run("return getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    (spoken,) = page.all('[role="status"]')
    assert spoken.get_attribute("aria-live") == "polite"


def test_play_goes_on_by_itself_until_it_is_paused(page):
    page.show(autograd.stepper(neuron()))
    page.click("Play")
    assert page.all('[role="status"]')[0].get_attribute("aria-live") == "off"
    page.chrome.set_script_timeout(10)
    wait = """
        const [done] = arguments, count = document.querySelector('.ag-count');
        const there = () => count.textContent.startsWith('forward 2');
        const watch = () => (there() ? done() : setTimeout(watch));
        watch();
    """
    page.chrome.execute_async_script(wait)
    page.click("Pause")
    assert page.text(".ag-count") == "forward 2 / 10"
    assert page.all('button[aria-label="Play"]')


def test_a_row_of_the_list_is_jumped_to(page):
    y = neuron()
    page.show(autograd.stepper(y))
    page.all("summary")[0].click()
    rows = page.all(".ag-backward tr")
    rows[4].click()
    assert page.text(".ag-equation") == str(steps(y)[3])
    assert rows[4].get_attribute("aria-current") == "step"
    rows[4].send_keys(Keys.ARROW_DOWN)
    assert page.text(".ag-equation") == str(steps(y)[4])
    assert page.run("return document.activeElement") == rows[5]


@pytest.mark.parametrize("way", ["click", "enter"])
def test_a_value_shows_its_gradient_as_a_sum_over_its_children(page, way):
    page.show(autograd.stepper(diamond()))
    assert not page.all(".ag-panel")[0].is_displayed()
    page.value(1).click() if way == "click" else page.value(1).send_keys(Keys.ENTER)
    assert [p.text for p in page.all(".ag-panel p")[:5]] == [
        "∂f/∂a",
        "= ∂f/∂e · ∂e/∂a + ∂f/∂d · ∂d/∂a",
        "= -6 × 1 + 1 × 3",
        "= -6 + 3",
        "= -3",
    ]
    page.all(".ag-jumps button")[1].click()
    assert page.text(".ag-equation") == str([s for s in steps(diamond()) if s.names[2] == "a"][1])
    page.press(Keys.ESCAPE)
    assert not page.all(".ag-panel")[0].is_displayed()


def test_the_result_and_a_value_that_no_step_reaches_say_so(page):
    x = Value(-1.0, "x")
    y = autograd.relu(x * 2.0)
    y.label = "y"
    page.show(autograd.stepper(y))
    page.value(3).click()
    assert page.text(".ag-panel p:nth-of-type(2)") == "= 1: the backward pass begins here"
    page.value(1).click()
    assert page.text(".ag-panel p:nth-of-type(2)") == "= 0: unreached"
    page.click("Last step")
    assert page.grad(1) == "grad 0"


def test_steps_inside_a_collapsed_scope_light_up_its_box(page):
    a = Value(2.0, "a")
    with scope("inner"):
        b = a * a
        c = b * b
    y = c + a
    stepper = autograd.stepper(y, collapse=3)
    page.show(stepper)
    assert sorted(set(stepper._drawing.numbers.values())) == [1, 2, 4]
    page.all(".ag-bar button")[6].click()
    seen = []
    for _ in steps(y):
        page.click("Next step")
        seen.append(page.lit())
    assert seen[0] == {"v2", "v4", "o4", "r4", "b2_4"}
    assert seen[2] == {"v2"}
    assert seen[-1] == {"v1", "v2", "b1_2"}
    page.value(2).click()
    assert page.text(".ag-panel p") == "2 values by their gradients:"
    page.all(".ag-jumps button")[0].click()
    assert page.text(".ag-panel p").startswith("∂")


def test_it_fits_into_400_pixels(page):
    page.size(400)
    page.show(autograd.stepper(neuron()))
    page.all("summary")[0].click()
    page.value(1).click()
    for _ in range(20):
        page.press(Keys.ARROW_RIGHT)
        width = page.run("return document.documentElement.scrollWidth")
        assert width <= 400
        inside = page.run("""
            const view = document.querySelector('.ag-scroll').getBoundingClientRect();
            const box = document.querySelector('.ag-value.ag-on').getBoundingClientRect();
            return box.right > view.left && box.left < view.right;
        """)
        assert inside
    page.all(".ag-bar button")[7].click()  # Fit
    view, drawn = (page.all(x)[0].size["width"] for x in (".ag-scroll", ".ag-scroll svg"))
    assert drawn <= view


def test_without_scripts_the_image_and_the_table_are_there_and_no_controls(page):
    page.scripts(on=False)
    page.show(autograd.stepper(neuron()))
    (image,) = page.all("img")
    assert image.is_displayed()
    assert int(image.get_attribute("naturalWidth") or 0) > 500
    assert not page.all("button, input, .ag-live")
    body = page.chrome.find_element(By.TAG_NAME, "body").text
    assert body.split("\n") == [
        "Computation graph of o",
        "All steps: 10 values forward, 9 steps backward",
    ]
    page.all("summary")[0].click()
    assert page.all(".ag-backward tr")[1].text == "∂o/∂v4 ∂o/∂o · ∂o/∂v4 1 × 0.5000 = 0.5000"


def test_with_scripts_the_image_gives_way_to_the_drawing(page):
    page.show(autograd.stepper(neuron()))
    assert not page.all("img")[0].is_displayed()
    assert page.all("svg.ag-graph")[0].is_displayed()


@pytest.mark.parametrize("functions", [(neuron, diamond), (neuron, neuron)])
def test_two_steppers_on_a_page_do_not_disturb_each_other(page, functions):
    steppers = [autograd.stepper(function()) for function in functions]
    page.show(*steppers)
    page.click("Last step")
    assert page.text(".ag-count") == "backward 9 / 9"
    page.number = 1
    assert page.text(".ag-count").startswith("forward 0 /")
    assert page.lit() == set()
    page.all("button")[2].send_keys(Keys.ARROW_RIGHT)
    assert page.text(".ag-count").startswith("forward 1 /")
    page.number = 0
    assert page.text(".ag-count") == "backward 9 / 9"


def test_a_script_that_is_run_again_changes_nothing(page):
    page.show(autograd.stepper(neuron()))
    page.click("Next step")
    page.run("""
        for (const script of document.querySelectorAll('.ag-stepper script:not([type])')) {
          const again = document.createElement('script');
          again.textContent = script.textContent;
          script.replaceWith(again);
          new Function(script.textContent)();  // and as programs do that run it elsewhere
        }
    """)
    assert len(page.all(".ag-live")) == 1
    assert page.text(".ag-count") == "forward 1 / 10"


def test_a_page_that_was_saved_from_the_browser_works_again(page):
    stepper = autograd.stepper(neuron())
    page.show(stepper)
    page.click("Next step")
    (page.folder / "saved.html").write_text(page.chrome.page_source, "utf-8")
    page.chrome.get((page.folder / "saved.html").as_uri())
    assert len(page.all(".ag-live")) == 1
    page.click("Next step")
    assert page.text(".ag-count") == "forward 1 / 10"


DARK, LIGHT = "rgb(148, 163, 184)", "rgb(100, 116, 139)"  # of lines


def line_colour(page):
    (path,) = page.all(f'[id="{page.prefix}-r3"] path')
    return path.value_of_css_property("stroke").replace("rgba", "rgb").replace(", 1)", ")")


@pytest.mark.parametrize(("scheme", "colour"), [("dark", DARK), ("light", LIGHT)])
def test_lines_are_seen_in_light_and_dark(page, scheme, colour):
    page.media(prefers_color_scheme=scheme)
    page.show(autograd.stepper(neuron()))
    assert line_colour(page) == colour


@pytest.mark.parametrize(
    ("lab", "scheme", "colour"), [("false", "light", DARK), ("true", "dark", LIGHT)]
)
def test_jupyterlabs_theme_counts_more_than_the_systems(page, lab, scheme, colour):
    page.media(prefers_color_scheme=scheme)
    page.show(autograd.stepper(neuron()))
    page.run("document.body.dataset.jpThemeLight = arguments[0]", lab)
    assert line_colour(page) == colour


def test_what_is_highlighted_is_red_and_thicker(page):
    page.show(autograd.stepper(neuron()))
    page.click("Last step")
    (path, *_) = page.all(".ag-edge.ag-on path")
    assert "220, 38, 38" in path.value_of_css_property("stroke")
    assert path.value_of_css_property("stroke-width") == "2.5px"


HOSTILE = "</script><img src=x onerror=\"document.title='pwned'\">&lt;'\u202e\n\0]]>"


def test_a_hostile_label_is_text_everywhere(page):
    x = Value(2.0, HOSTILE)
    with scope(HOSTILE):
        y = x * x
    y.label = HOSTILE * 100
    page.show(autograd.stepper(y))
    shown = "</script><img src=x onerror=\"document.title='pwned'\">"
    for _ in range(4):
        page.click("Next step")
        page.value(1).click()
        page.all("summary")[0].click()
    assert page.text(".ag-panel p").count("script>") == 2
    assert page.text(".ag-forward td").startswith(shown[:20])
    assert page.chrome.title.startswith("Computation graph of </script>")
    assert len(page.all("img")) == 1
    assert len(page.all("script")) == 2


def chain_of(size):
    values = [Value(sin(i), f"x{i}") for i in range(251)]
    while len(values) < size:
        a, b = values[-3], values[-60]
        values += [a * b, tanh(a)]
    return autograd.sum(values[:size])


def test_a_step_through_a_large_graph_takes_less_than_50_ms(page):
    y = chain_of(750)
    stepper = autograd.stepper(y)
    assert len(stepper._values) == 751
    page.show(stepper)
    page.run("document.querySelector('details').open = true; document.body.offsetHeight")
    times = page.run("""
        const root = document.querySelector('.ag-stepper').agStepper, times = [];
        for (let i = 0; i < 101; i += 1) {
          const start = performance.now();
          root.go((i * 617) % (root.end + 1));
          document.body.offsetHeight; // the layout is part of it
          times.push(performance.now() - start);
        }
        return times.sort((a, b) => a - b);
    """)
    assert times[50] < 50
    assert all(a <= b for a, b in pairwise(times))


def test_nothing_is_asked_of_the_network(page):
    page.show(autograd.stepper(neuron()))
    page.click("Last step")
    names = page.run("return performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert [name for name in names if not re.match("data:|file:", name)] == []


def test_the_script_is_small():
    text = Path(passes.__file__).with_name("stepper.js").read_text("utf-8")
    assert len(text.splitlines()) < 350
    assert "innerHTML" not in text
