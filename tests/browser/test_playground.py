"""The playground in a real browser: its lessons, its controls, what it does when it is treated badly, and its looks."""

import re

import pytest

from .conftest import ROOT, SHIFTS, looks
from .test_pages import accessibility_violations

BARE = "tests/lab/playground.html"
EXHIBIT = "document.querySelector('.ff-playground')"
CASES = looks(
    BARE,
    "ff-playground ff-lab",
    [(390, "light"), (390, "dark"), (320, "light"), (1280, "dark"), (1600, "light")],
)
# Runs without the page: settings and epochs in, the measurements of run.mjs out.
RUN = """async ([changes, epochs]) => {
  const { makeRun, step, measure } = await import("/_static/lab/run.mjs");
  const { DEFAULTS } = await import("/_static/lab/settings.mjs");
  const digits = new Uint8Array(await (await fetch("/_static/lab/digits8.bin")).arrayBuffer());
  const run = makeRun({ ...DEFAULTS, ...changes }, digits);
  while (run.epoch < epochs && step(run));
  const { sum, layers } = measure(run).accuracy;
  const weights = run.net.layers.map((layer) => [...layer.weights]);
  return { sum, layers, losses: run.losses, trouble: run.trouble, weights };
}"""
LESSON = """async (key) => {
  const { findLesson, foundText } = await import("/_static/lab/lessons.mjs");
  const lesson = findLesson(key);
  return { ...lesson, found: foundText(lesson) };
}"""
KEYS = re.findall(
    r'^    key: "(.+)",$', (ROOT / "_static/lab/lessons.mjs").read_text("utf-8"), re.M
)
SEEDS = (1, 2, 3, 4, 5)


@pytest.fixture(scope="session")
def address(repository):
    return repository


@pytest.fixture
def moving(browser, repository):
    """A page whose reader has not asked for reduced motion."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.address = f"{repository}/{BARE}"
    yield page
    context.close()


def wait(page, state="paused"):
    page.wait_for_function(
        f"(state) => {EXHIBIT}?.dataset.state === state", arg=state, timeout=120_000
    )
    return page


def start(watched, name=BARE, theme="light", state="paused"):
    page = watched.open(name)
    if name.startswith(BARE):
        page.evaluate(
            "(theme) => { document.documentElement.dataset.theme = theme }", theme
        )
    return wait(page, state)


def status(page):
    return (
        page.locator(".ff-playground [role=status]").inner_text().replace("\xa0", " ")
    )


def epoch(page):
    return int(page.locator(".ff-play-epoch").inner_text().split()[1])


def wait_for_epoch(page, least):
    page.wait_for_function(
        "(least) => Number(document.querySelector('.ff-play-epoch').textContent.split(' ')[1]) >= least",
        arg=least,
        timeout=60_000,
    )


def press(page, name):
    page.get_by_role("button", name=name, exact=True).click()


def train_until(page, least):
    """Press Train, wait for that epoch, press Pause: returns the last sentence."""
    press(page, "Train")
    wait_for_epoch(page, least)
    press(page, "Pause")
    page.wait_for_timeout(300)
    return status(page)


# ---- Learning


@pytest.mark.parametrize(
    ("changes", "epochs", "least"),
    [
        ({"data": "blobs"}, 20, 0.97),
        ({"data": "moons"}, 60, 0.93),
        ({"data": "circles"}, 60, 0.93),
        ({"data": "xor", "noise": 0.05}, 60, 0.9),
        ({"data": "spirals", "noise": 0, "layers": 3, "width": 64}, 300, 0.85),
        ({"data": "digits", "neg": "hard", "loss": "pair", "lr": 0.003}, 20, 0.94),
        ({"data": "moons", "goodness": "abs"}, 60, 0.9),
        ({"data": "moons", "goodness": "rms", "positive": "low"}, 60, 0.9),
    ],
)
def test_every_data_set_is_learnt(watch, changes, epochs, least):
    page = watch().open(BARE)
    found = [
        page.evaluate(RUN, [changes | {"seed": seed}, epochs])["sum"]
        for seed in (1, 2, 3)
    ]
    assert sorted(found)[1] >= least, found


def train_lesson(page, lesson, arm, seed):
    settings = lesson["base"] | lesson["arms"][arm]["change"] | {"seed": seed}
    return page.evaluate(RUN, [settings, lesson["measuredAt"]])


def focus_of(result, focus):
    return result["sum"] if focus == "sum" else result["layers"][focus]


@pytest.mark.parametrize("key", [key for key in KEYS if key != "isolation"])
def test_a_lesson_says_what_five_seeds_do(watch, key):
    """The range of each arm, to two points, and whose sentence quotes it."""
    page = watch().open(BARE)
    lesson = page.evaluate(LESSON, key)
    ends = []
    for k, arm in enumerate(lesson["arms"]):
        results = [train_lesson(page, lesson, k, seed) for seed in SEEDS]
        shares = [100 * focus_of(one, lesson["focus"]) for one in results]
        low, high = arm["measured"]
        assert abs(min(shares) - low) <= 2 and abs(max(shares) - high) <= 2, shares
        assert f"{low} to {high}" in lesson["found"]
        ends.append((shares, [one["losses"] for one in results]))
    (left, losses), (right, other) = ends[0], ends[1]
    if key == "lengths":
        assert min(left) > 2 * max(right)
    elif key in ("hard", "upside-down"):
        assert all(b > a for a, b in zip(left, right, strict=True))
    elif key == "threshold":
        assert min(left) > max(right) and min(right) > max(ends[2][0])
    elif key == "true-negatives":
        assert max(max(one) for one in losses) < 0.2
        assert min(min(one) for one in other) > 0.5
    else:
        pytest.fail(f"no test of what lesson {key} claims")


def test_layers_above_change_nothing_below(watch):
    page = watch().open(BARE)
    lesson = page.evaluate(LESSON, "isolation")
    for seed in SEEDS:
        alone, below = (train_lesson(page, lesson, k, seed) for k in (0, 1))
        assert alone["weights"][0] == below["weights"][0]
        assert alone["losses"][0] == below["losses"][0]
    drawn = page.evaluate(RUN, [lesson["base"] | {"seed": 5}, 0])
    assert drawn["weights"][0] != alone["weights"][0], "it never learnt"


def test_in_turn_only_one_layer_learns(watch):
    page = watch().open(BARE)
    first, half, whole = (
        page.evaluate(RUN, [{"order": "turns"}, epochs])["weights"]
        for epochs in (0, 20, 40)
    )
    assert first[1] == half[1] != whole[1]
    assert first[0] != half[0] == whole[0]


def test_a_rate_that_is_too_large_stops_the_run(watch):
    page = watch().open(BARE)
    assert all(page.evaluate(RUN, [{"lr": 10, "seed": s}, 1])["trouble"] for s in SEEDS)


# ---- Alive on arrival


def test_it_starts_when_it_is_seen_and_pauses_by_itself(moving):
    moving.goto(moving.address)
    wait(moving, "running")
    wait_for_epoch(moving, 2)
    assert "Pause" in status(moving)
    press(moving, "fast")
    wait(moving, "paused")
    assert epoch(moving) == 200
    assert status(moving).startswith("Epoch 200")


def test_out_of_sight_it_does_not_start(moving):
    moving.add_init_script(
        "addEventListener('DOMContentLoaded', () => document.querySelector('main').prepend(Object.assign(document.createElement('div'), { style: 'height: 3000px' })))"
    )
    moving.goto(moving.address)
    wait(moving)
    moving.wait_for_timeout(500)
    assert epoch(moving) == 0
    moving.locator(".ff-playground").scroll_into_view_if_needed()
    moving.evaluate(f"{EXHIBIT}.scrollIntoView()")
    wait_for_epoch(moving, 1)


def test_the_first_epochs_can_be_watched(moving):
    """About five epochs a second; on a busy machine fewer."""
    moving.goto(moving.address)
    wait_for_epoch(moving, 1)
    before = epoch(moving)
    moving.wait_for_timeout(2000)
    assert 3 <= epoch(moving) - before <= 14


def test_reduced_motion_waits_and_nothing_moves(watch):
    """Dots are pseudo-elements: they must rest as well."""
    page = start(watch())
    page.wait_for_timeout(500)
    assert epoch(page) == 0
    press(page, "Train")
    wait_for_epoch(page, 1)
    moving = "([part, pseudo]) => getComputedStyle(document.querySelector(part), pseudo).animationName"
    for part in (".ff-play-net", ".ff-play-input"):
        assert page.evaluate(moving, [part, "::after"]) == "none"


def test_the_dots_move_otherwise(moving):
    moving.goto(moving.address)
    wait(moving, "running")
    name = "getComputedStyle(document.querySelector('.ff-play-net'), '::after').animationName"
    assert moving.evaluate(name) == "ff-play-rise"


# ---- The page


@pytest.mark.parametrize(
    "end", ["", "#lesson=lengths", "#lesson=isolation", "#data=digits", "#layers=4"]
)
def test_it_is_one_view(browser, repository, end):
    """On a screen of 1280 × 800 all of it fits, and 864 px are what a page leaves it."""
    context = browser.new_context(viewport={"width": 900, "height": 800})
    page = context.new_page()
    page.goto(f"{repository}/{BARE}{end}")
    wait(page, "running")
    assert page.locator(".ff-playground").bounding_box()["height"] <= 690
    context.close()


def test_train_pause_step_and_reset(watch):
    watched = watch()
    page = start(watched)
    said = train_until(page, 3)
    assert said.startswith(f"Epoch {epoch(page)}:")
    page.wait_for_timeout(500)
    assert status(page) == said, "it goes on after Pause"
    press(page, "Reset")
    wait(page)
    assert epoch(page) == 0
    for _ in range(8):  # 400 points in batches of 50
        press(page, "Step")
    wait_for_epoch(page, 1)
    assert watched.problems == []


def test_the_sentence_and_the_pictures_say_the_same(watch):
    page = start(watch())
    said = train_until(page, 4)
    shown = page.locator(".ff-play-sum .ff-play-heading b").inner_text()
    assert f"names {shown}".replace("\xa0", " ") in said
    assert "\xa0%" in shown, "a number and its % may be torn apart"


def test_a_link_to_a_section_is_not_a_setting(watch):
    page = start(watch(), f"{BARE}?data=xor#summary")
    assert page.locator("select[name=data]").input_value() == "xor"
    assert page.evaluate("location.hash") == "#summary"
    train_until(page, 2)
    before = epoch(page)
    page.evaluate("location.hash = '#things-to-try'")
    page.wait_for_timeout(400)
    assert (epoch(page), page.evaluate("location.hash")) == (before, "#things-to-try")


def test_the_address_holds_the_settings_and_absurd_ones_are_mended(watch):
    watched = watch()
    page = start(watched, f"{BARE}#data=circles&layers=3&lr=0.03&theta=2.5&loss=pair")
    assert page.locator(".ff-play-row").count() == 3
    assert page.locator("select[name=theta]").input_value() == "2.5", (
        "an address may say what no menu offers"
    )
    page.evaluate(
        "location.hash = '#data=nonsense&layers=99&width=-5&lr=NaN&noise=1e9&seed=x&lesson=__proto__'"
    )
    page.wait_for_function("document.querySelectorAll('.ff-play-row').length === 4")
    for name, value in (("data", "moons"), ("width", "2"), ("noise", "0.3")):
        assert page.locator(f"select[name={name}]").input_value() == value
    assert watched.problems == []


def test_rate_threshold_and_more_change_without_a_restart(watch):
    watched = watch()
    page = start(watched)
    train_until(page, 3)
    before = epoch(page)
    for name, value in [
        ("lr", "0.003"),
        ("theta", "2"),
        ("neg", "hard"),
        ("loss", "pair"),
        ("norm", "none"),
        ("goodness", "abs"),
        ("positive", "low"),
        ("order", "turns"),
    ]:
        page.locator(f"select[name={name}]").select_option(value)
        assert f"{name}={value}" in page.evaluate("location.hash")
    page.wait_for_timeout(300)
    assert epoch(page) == before
    page.locator("select[name=layers]").select_option("3")
    page.wait_for_function("document.querySelectorAll('.ff-play-row').length === 3")
    wait(page)
    assert epoch(page) == 0
    assert watched.problems == []


def test_the_keyboard_is_enough(watch):
    watched = watch()
    page = start(watched)
    page.get_by_role("button", name="Train").focus()
    page.keyboard.press("Space")
    page.get_by_role("button", name="Pause").wait_for()
    page.keyboard.press("Space")
    page.get_by_role("button", name="Train").wait_for()
    select = page.locator("select[name=lr]")
    select.evaluate("(one) => (one.dataset.same = 'yes')")
    select.focus()
    page.keyboard.type("0.003")
    page.wait_for_function("location.hash.includes('lr=0.003')")
    assert page.evaluate("document.activeElement.dataset.same") == "yes", (
        "the menu was rebuilt under the reader's hands"
    )
    page.locator(".ff-play-plane").focus()
    page.keyboard.press("ArrowUp")
    page.wait_for_function("document.querySelector('.ff-play-verdict').textContent")
    page.keyboard.press("Enter")
    assert "the sum says" in status(page)
    assert watched.problems == []


def test_a_point_is_asked_painted_and_dragged(watch):
    watched = watch()
    page = start(watched)
    box = page.locator(".ff-play-plane").bounding_box()
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.move(*middle)
    page.wait_for_function(
        "[...document.querySelectorAll('.ff-play-figures')].every((one) => one.textContent.includes('■'))"
    )
    press(page, "Clear")
    pixels = "() => document.querySelector('.ff-play-plane').toDataURL().length"
    page.get_by_role("button", name="Paint points ■").click()
    page.wait_for_timeout(300)
    empty = page.evaluate(pixels)
    page.mouse.move(*middle)
    page.mouse.down()
    page.mouse.move(middle[0] + 80, middle[1], steps=12)
    page.mouse.up()
    page.wait_for_timeout(300)
    assert page.evaluate(pixels) > empty
    page.get_by_role("button", name="Paint points ●").click()
    page.mouse.click(middle[0], middle[1] - 60)
    train_until(page, 20)
    page.get_by_role("button", name="Look").click()
    page.mouse.move(middle[0] + 40, middle[1])
    page.wait_for_function(
        "document.querySelector('.ff-play-verdict').textContent.includes('says ■')"
    )
    assert watched.problems == []


def test_show_one_that_it_gets_wrong(watch):
    page = start(watch(), f"{BARE}#data=digits")
    press(page, "A wrong one")
    page.wait_for_function(
        "/^A (.). The sum says (?!\\1)/.test(document.querySelector('.ff-play-verdict').textContent)"
    )


def test_a_lesson_runs_twice_side_by_side_and_can_be_taken_on(watch):
    watched = watch()
    page = start(watched)
    page.get_by_role("button", name="1 Lengths").click()
    wait(page)
    assert page.locator(".ff-play-arm").count() == 2
    press(page, "fast")
    press(page, "Train")
    page.wait_for_function(
        f"{EXHIBIT}.dataset.state === 'paused' && document.querySelector('.ff-play-epoch').textContent === 'epoch 20'",
        timeout=60_000,
    )
    page.wait_for_timeout(300)
    left, right = map(int, re.findall(r"(\d+)\s%", status(page)))
    assert left > 40 and right < 25
    assert page.evaluate("location.hash") == "#lesson=lengths"
    press(page, "Play with it")
    wait(page)
    assert page.locator("select[name=data]").input_value() == "digits"
    assert watched.problems == []


def test_in_the_isolation_lesson_the_weights_agree(watch):
    page = start(watch(), f"{BARE}#lesson=isolation")
    press(page, "fast")
    press(page, "Train")
    wait(page, "running")
    wait(page, "paused")
    assert "differ by 0." in page.locator(".ff-play-live").inner_text()
    assert epoch(page) == 40


def test_pause_is_offered_only_while_it_runs(watch):
    watched = watch()
    page = start(watched, f"{BARE}#lr=10")
    press(page, "Train")
    wait(page, "stopped")
    assert status(page).startswith("Stopped")
    page.get_by_role("button", name="Start again").click()
    wait(page, "stopped")
    assert page.get_by_role("button", name="Pause", exact=True).count() == 0
    assert page.locator(".ff-play-running").count() == 0
    page.locator("select[name=lr]").select_option("0.01")
    page.get_by_role("button", name="Start again").click()
    wait_for_epoch(page, 1)
    assert watched.problems == []


def test_a_screen_reader_is_left_in_peace(watch):
    page = start(watch())
    page.evaluate(
        """() => {
          window.said = [];
          new MutationObserver(() => said.push(document.querySelector('[role=status]').textContent))
            .observe(document.querySelector('[role=status]'), { childList: true, characterData: true, subtree: true });
        }"""
    )
    press(page, "Train")
    page.wait_for_timeout(4000)
    assert page.evaluate("said") == ["Training."]
    press(page, "Pause")
    page.wait_for_timeout(300)
    press(page, "In words")
    assert len(page.evaluate("said")) == 3
    assert page.locator(".ff-play-main[aria-pressed]").count() == 0, (
        "it says Pause twice"
    )


def test_menus_can_be_changed_faster_than_it_answers(watch):
    watched = watch()
    page = start(watched)
    press(page, "Train")
    for data in ("digits", "xor", "digits", "spirals", "blobs"):
        page.locator("select[name=data]").select_option(data)
    page.locator("select[name=layers]").select_option("4")
    page.wait_for_function("document.querySelectorAll('.ff-play-row').length === 4")
    wait_for_epoch(page, 3)
    assert watched.problems == []


@pytest.mark.alone
def test_the_picture_keeps_fifty_frames_a_second(watch):
    page = start(watch(), f"{BARE}#layers=3&width=64")
    press(page, "Train")
    gaps = page.evaluate(
        """() => new Promise((done) => {
          const gaps = []; let last = performance.now();
          const frame = (now) => { gaps.push(now - last); last = now; gaps.length < 90 ? requestAnimationFrame(frame) : done(gaps.sort((a, b) => a - b)) };
          requestAnimationFrame(frame);
        })"""
    )
    print(f"frames: median {gaps[45]:.0f} ms, 80 of 90 within {gaps[80]:.0f} ms")
    assert gaps[45] <= 20


def test_it_rests_out_of_sight_and_goes_on(watch):
    watched = watch()
    watched.page.add_init_script(
        "addEventListener('DOMContentLoaded', () => document.body.append(Object.assign(document.createElement('div'), { style: 'height: 6000px' })))"
    )
    page = start(watched)
    press(page, "Train")
    wait_for_epoch(page, 1)
    page.evaluate("scrollTo(0, 5500)")
    page.wait_for_timeout(600)
    resting = epoch(page)
    page.wait_for_timeout(1500)
    assert epoch(page) == resting
    page.evaluate("scrollTo(0, 0)")
    wait_for_epoch(page, resting + 1)
    assert watched.problems == []


@pytest.mark.parametrize("change", ["theme", "size"])
def test_a_paused_picture_follows_the_theme_and_the_size(watch, change):
    page = start(watch())
    page.add_style_tag(content="html[data-theme=dark] body { color: #eee }")
    train_until(page, 2)
    picture = "() => document.querySelector('.ff-play-curve canvas').toDataURL()"
    before = page.evaluate(picture)
    if change == "theme":
        page.evaluate("document.documentElement.dataset.theme = 'dark'")
    else:
        page.set_viewport_size({"width": 700, "height": 900})
    page.wait_for_timeout(400)
    assert page.evaluate(picture) != before
    fits = """() => [...document.querySelectorAll('.ff-play-histogram canvas')]
      .every((one) => Math.abs(one.width - one.clientWidth * devicePixelRatio) <= 1)"""
    assert page.evaluate(fits), "a histogram is squeezed"


def test_forced_colours_leave_the_bars_and_the_truth(browser, repository):
    context = browser.new_context(forced_colors="active", reduced_motion="reduce")
    page = context.new_page()
    page.goto(f"{repository}/{BARE}#data=digits")
    wait(page)
    press(page, "Step")
    page.wait_for_timeout(300)
    colors = page.evaluate(
        """() => {
          const style = (part) => getComputedStyle(document.querySelector(part));
          return { bar: style('.ff-play-labels span:not(.ff-play-winner) b').backgroundColor, page: style('body').backgroundColor,
            winner: style('.ff-play-winner b').backgroundColor,
            truth: style('.ff-play-true-label').borderBottomColor, other: style('.ff-play-labels span:not(.ff-play-true-label)').borderBottomColor };
        }"""
    )
    assert len({colors["bar"], colors["page"], colors["winner"]}) == 3, colors
    assert colors["truth"] != colors["other"], colors
    context.close()


def test_training_goes_on_when_the_digits_arrive(watch):
    watched = watch()
    page = start(watched)
    press(page, "Train")
    held = []
    page.route("**/digits8.bin", lambda route: held.append(route))
    page.locator("select[name=data]").select_option("digits")
    page.wait_for_timeout(400)
    assert page.get_by_role("button", name="Loading…").count() == 1
    for route in held:
        route.continue_()
    wait_for_epoch(page, 1)
    assert watched.problems == []


@pytest.mark.parametrize("damage", ["missing", "a flipped bit", "shorter"])
def test_damaged_digits_are_said_in_words_and_can_be_tried_again(watch, damage):
    page = watch().page
    data = bytearray((ROOT / "_static/lab/digits8.bin").read_bytes())
    data[5000] ^= 1
    answers = {
        "missing": {"status": 404, "body": ""},
        "a flipped bit": {"body": bytes(data)},
        "shorter": {"body": bytes(data[:-1])},
    }
    page.route("**/digits8.bin", lambda route: route.fulfill(**answers[damage]))
    page.goto(f"{watch().address}/{BARE}#data=digits")
    wait(page, "failed")
    assert "digits8.bin" in status(page)
    page.unroute("**/digits8.bin")
    page.get_by_role("button", name="Try again").click()
    wait_for_epoch(page, 1)


def test_from_a_file_the_page_says_how_to_open_it(browser):
    page = browser.new_page()
    page.goto((ROOT / BARE).as_uri())
    assert "make serve" in page.locator(".ff-playground").inner_text()
    page.close()


def test_before_it_is_there_it_says_loading_and_not_how_to_serve(watch):
    page = watch().page
    page.route("**/playground.mjs", lambda route: route.fulfill(status=404, body=""))
    page.route("**/train.mjs", lambda route: None)
    page.goto(f"{watch().address}/{BARE}")
    page.wait_for_function(f"{EXHIBIT}.dataset.failed === 'load'")
    words = page.locator(".ff-playground").inner_text()
    assert "could not be loaded" in words and "make serve" not in words


def test_without_javascript_it_says_so(browser, repository):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{repository}/{BARE}")
    words = page.locator(".ff-playground").inner_text()
    assert "needs JavaScript" in words and "make serve" not in words
    context.close()


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_jumps_when_it_is_there(browser, repository, width):
    context = browser.new_context(viewport={"width": width, "height": 800})
    page = context.new_page()
    page.add_init_script(SHIFTS)
    held = []
    page.route("**/playground.mjs", lambda route: held.append(route))
    page.goto(f"{repository}/{BARE}", wait_until="commit")
    page.wait_for_timeout(700)  # what stands there meanwhile is painted
    held[0].continue_()
    wait(page, "running")
    page.wait_for_timeout(1500)
    assert page.evaluate("window.shift") <= 0.02
    context.close()


def test_on_a_phone_train_stays_in_reach(watch):
    page = start(watch(width=390))
    page.locator(".ff-play-settings").scroll_into_view_if_needed()
    box = page.locator(".ff-play-main").bounding_box()
    assert 0 <= box["y"] < 100


@pytest.mark.parametrize(("name", "width", "theme"), CASES)
def test_it_is_accessible_and_fits_the_screen(watch, name, width, theme):
    watched = watch(theme, width)
    for end in ("", "#data=digits", "#lesson=threshold"):
        page = start(watched, f"{name}{end}", theme)
        page.reload()
        wait(page)
        train_until(page, 1)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, (
            "the page scrolls sideways"
        )
        assert accessibility_violations(page) == []
    assert watched.problems == []
