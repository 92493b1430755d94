"""The page in a real browser: Chromium, driven by Playwright.

With IMPASTO_SCREENSHOTS=FOLDER the images of the documentation are written: then the first test uses the real network.
"""

import base64
import io
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image
from web_browser import (
    NEEDS_CHROMIUM,
    PHONE,
    Open,
    choose,
    is_ready,
    playwright,
    set_number,
    start,
    state,
)
from web_inputs import png
from web_server import Running, Serve

expect = playwright.expect
pytestmark = NEEDS_CHROMIUM
SCREENSHOTS = os.environ.get("IMPASTO_SCREENSHOTS")


def shot(page: "playwright.Page", name: str) -> None:
    """A screenshot for the documentation."""
    if SCREENSHOTS:
        page.evaluate("() => scrollTo(0, 0)")
        image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
        image.save(Path(SCREENSHOTS) / f"{name}.jpg", quality=85)


def test_from_upload_to_a_finished_image(open_page: Open, images: object, tmp_path: Path, narrow_weights: Path) -> None:
    from impasto.jobs.compute import Compute
    from impasto.web.server import Address, Server, create_service

    weights = "auto" if SCREENSHOTS else str(narrow_weights)
    compute = Compute(device="cpu", weights=weights, threads=1, engine="torch")
    server = Server(create_service(tmp_path / "data", compute, images=images), Address(port=0))  # type: ignore[arg-type]
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        page = open_page(server.url)
        is_ready(page)
        for name, alt in (("portrait", "Content image portrait.jpg"), ("waves", "Style image waves.jpg")):
            page.get_by_role("button", name=name).click()
            expect(page.get_by_alt_text(alt)).to_be_visible(timeout=20_000)
        page.get_by_role("button", name="256 pixels").click()
        expect(page.locator("#estimate")).to_contain_text("256 × 256 pixels", timeout=60_000)
        shot(page, "web-new")
        if SCREENSHOTS:
            mask_of_faces(page)
        page.get_by_text("All settings", exact=True).click()
        set_number(page, "Steps", 150 if SCREENSHOTS else 20)
        page.get_by_role("button", name="Start").click()
        expect(page.locator("#progress-text")).to_contain_text("128 pixels", timeout=60_000)
        expect(page.locator(".stage img[alt^='Result']")).to_be_visible(timeout=60_000)
        if SCREENSHOTS:
            expect(page.locator("#progress-text")).to_contain_text("256 pixels", timeout=300_000)
            page.wait_for_timeout(5000)
        shot(page, "web")
        expect(page.locator("#state")).to_have_text("done", timeout=300_000)
        slider = page.get_by_label("Content image and result")
        slider.focus()
        for _ in range(20):
            slider.press("ArrowLeft")
        clip = page.locator(".top-image").evaluate("image => image.style.clipPath")
        assert clip == "inset(0px 70% 0px 0px)"
        shot(page, "web-done")
        page.get_by_role("button", name="Zoom", exact=True).click()
        canvas = page.locator(".viewer canvas")
        expect(canvas).to_be_visible()
        canvas.press("1")
        with page.expect_download() as download:
            page.get_by_role("link", name="PNG", exact=True).click()
        picture = Image.open(download.value.path())
        assert (picture.size, picture.mode) == ((256, 256), "RGB")
        assert download.value.suggested_filename == "portrait-waves.png"
        assert '"size":256' in picture.text["impasto"].replace(" ", "")
    finally:
        server.stop()
        thread.join()


def mask_of_faces(page: "playwright.Page") -> None:
    """A screenshot of the mask editor."""
    page.locator("[data-mask=keep]").click()
    page.get_by_role("button", name="From faces").click()
    page.wait_for_timeout(5000)
    shot(page, "web-mask")
    page.get_by_role("button", name="Close without saving").click()
    page.get_by_role("button", name="Discard the changes").last.click()


def test_a_reload_a_second_tab_and_a_phone_show_the_same(running: Running, open_page: Open) -> None:
    page = open_page(running.url)
    is_ready(page)
    choose(page)
    start(page, 400)
    expect(page.locator("#progress-text")).to_contain_text("of 400", timeout=20_000)
    step = int(re.findall(r"step (\d+)", page.locator("#progress-text").inner_text())[0])
    page.reload()
    phone = open_page(page.url, viewport=PHONE, has_touch=True, is_mobile=True)
    for each in (page, phone):
        is_ready(each)
        expect(each.locator("#progress-text")).to_contain_text("of 400")
        assert int(re.findall(r"step (\d+)", each.locator("#progress-text").inner_text())[0]) > step
    phone.get_by_role("button", name="Pause").click()
    for each in (page, phone):
        state(each, "paused")


def test_pause_continue_fork_stop_and_cancel(running: Running, open_page: Open) -> None:
    page = open_page(running.url)
    is_ready(page)
    choose(page)
    start(page, 600)
    state(page, "running")
    expect(page.locator("#progress-text")).to_contain_text("of 600", timeout=20_000)
    dialog, image = page.get_by_role("dialog", name="Fork"), page.locator("#fork-image")
    page.get_by_role("button", name="Fork").click()
    expect(image).to_have_text(
        "A new job starts from the last preview of this one, 2 × 1 pixels. "
        "Pause this job first to start from its image of 64 pixels."
    )
    dialog.get_by_role("button", name="Close").click()
    page.get_by_role("button", name="Pause").click()
    state(page, "paused")
    page.get_by_role("button", name="Fork").click()
    expect(image).to_have_text("A new job starts from the image of this one, 2 × 1 pixels.")
    dialog.get_by_role("button", name="Close").click()
    page.get_by_role("button", name="Continue").click()
    state(page, "running")
    # it shows what becomes of it, not what it was when it was paused
    live = page.locator(".stage > img[src*='/preview?']")
    expect(live).to_be_visible()
    shown = live.get_attribute("src")
    expect(page.locator(f".stage > img[src*='/preview?']:not([src='{shown}'])")).to_be_visible()
    page.get_by_role("button", name="Stop and keep").click()
    state(page, "stopped")
    expect(page.get_by_role("link", name="PNG", exact=True)).to_be_visible()
    page.get_by_role("button", name="Fork").click()
    strength = dialog.get_by_role("slider", name="Strength")
    strength.focus()
    for _ in range(4):
        strength.press("ArrowRight")
    dialog.get_by_role("button", name="Start the fork").click()
    expect(page.get_by_role("link", name="from job 1")).to_be_visible(timeout=20_000)
    assert running.client.job(2)["changed"]["strength"] == 0.7
    state(page, "running")
    page.get_by_role("button", name="Cancel").first.click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel the job").click()
    state(page, "canceled")
    assert running.client.job(2)["result"] is None


def test_a_failed_job_says_why(running: Running, open_page: Open) -> None:
    page = open_page(running.url)
    is_ready(page)
    choose(page, "fail.png")
    start(page, 10)
    state(page, "failed")
    expect(page.locator("#message")).to_contain_text("is damaged")
    expect(page.get_by_role("button", name="Retry")).to_be_visible()


@pytest.mark.posix("SIGKILL")
def test_a_killed_server_comes_back_without_a_reload(open_page: Open, tmp_path: Path) -> None:
    @contextmanager
    def serving(port: str) -> Iterator[str]:
        command = [sys.executable, str(Path(__file__).parent / "serve_fake.py"), str(tmp_path / "data"), port]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            try:
                yield process.stdout.readline().strip()
            finally:
                process.kill()

    with serving("0") as url:
        page = open_page(url)
        is_ready(page)
        choose(page)
        start(page, 250)
        expect(page.locator("#progress-text")).to_contain_text("of 250", timeout=20_000)
    expect(page.get_by_text("The connection to the server is lost.")).to_be_visible()
    with serving(url.rpartition(":")[2]):
        expect(page.get_by_text("The connection to the server is lost.")).to_be_hidden(timeout=20_000)
        state(page, "done")
        expect(page.locator("#progress-text")).to_contain_text("step 250 of 250")


def test_history_has_search_favorites_undo_and_comparison(running: Running, open_page: Open, tmp_path: Path) -> None:
    for name, strength in (("blue", 0.2), ("red", 0.6), ("green", 0.9)):
        running.client.wait(running.submit(tmp_path, name=name, settings={"strength": strength, "steps": 2}))
    page = open_page(f"{running.url}/#history")
    is_ready(page)
    tiles = page.locator("#gallery .tile")
    expect(tiles).to_have_count(3)
    page.get_by_role("button", name="Favorite: red").click()
    page.get_by_label("Favorites").check()
    expect(tiles).to_have_count(1)
    page.get_by_label("Favorites").uncheck()
    page.get_by_label("Search").fill("gree")
    expect(tiles).to_have_count(1)
    page.get_by_label("Search").fill("")
    expect(tiles).to_have_count(3)
    page.get_by_role("button", name="Delete blue").click()
    expect(tiles).to_have_count(2)
    page.get_by_role("button", name="Undo").click()
    expect(tiles).to_have_count(3)
    for name in (0, 2):
        tiles.nth(name).get_by_label("Compare").check()
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_role("row", name="Strength")).to_contain_text("0.2")
    expect(page.locator(".viewer canvas")).to_have_count(2)


def test_waiting_jobs_are_moved_by_buttons_and_by_dragging(running: Running, open_page: Open, tmp_path: Path) -> None:
    running.submit(tmp_path, settings={"steps": 3000})
    running.wait_for(1, "running")
    for name in ("first", "second", "third"):
        running.submit(tmp_path, name=name)
    page = open_page(running.url)
    is_ready(page)
    names = page.locator("#waiting .name")
    expect(names).to_have_text(["first", "second", "third"])
    page.get_by_role("button", name="Move third up").click()
    expect(names).to_have_text(["first", "third", "second"])
    page.locator("#waiting li").nth(2).drag_to(page.locator("#waiting li").nth(0), target_position={"x": 30, "y": 10})
    expect(names).to_have_text(["second", "first", "third"])
    page.get_by_role("button", name="Cancel first").click()
    expect(names).to_have_text(["second", "third"])
    page.get_by_role("link", name="second").click()
    page.get_by_role("button", name="Edit").click()
    expect(page.get_by_role("heading", name="Edit job 3")).to_be_visible()
    page.get_by_role("button", name="1024 pixels").click()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator("#state")).to_have_text("waiting")
    assert running.client.job(3)["changed"]["size"] == 1024
    running.client.ask(1, "cancel")


def test_without_the_token_there_is_a_login(serve: Serve, open_page: Open, tmp_path: Path) -> None:
    with serve(tmp_path / "data", token="the-right-token-0123456789") as running:
        page = open_page(running.url)
        expect(page.get_by_label("Token")).to_be_focused()
        page.get_by_label("Token").fill("the-right-token-0123456789")
        page.get_by_role("button", name="Continue").click()
        is_ready(page)
        expect(page.get_by_role("heading", name="New image")).to_be_visible()
        assert page.evaluate("() => document.cookie") == ""
        other = open_page(f"{running.url}/?token=the-right-token-0123456789")
        is_ready(other)
        assert "token" not in other.url


def test_a_wrong_token_is_refused(serve: Serve, browser: "playwright.Browser", tmp_path: Path) -> None:
    with serve(tmp_path / "data", token="the-right-token-0123456789") as running:
        page = browser.new_context().new_page()
        page.goto(running.url)
        page.get_by_label("Token").fill("a wrong one")
        page.get_by_role("button", name="Continue").click()
        expect(page.get_by_text("the token is wrong")).to_be_visible()
        page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_everything_without_scrolling_sideways(
    running: Running, open_page: Open, tmp_path: Path, scheme: str
) -> None:
    running.client.wait(running.submit(tmp_path, name="a name that is so long that it does not fit " * 3))
    page = open_page(running.url, viewport={"width": 360, "height": 740}, has_touch=True, color_scheme=scheme)
    is_ready(page)
    choose(page)
    for view in ("#new", "#history", "#job/1"):
        page.goto(f"{running.url}/{view}")
        page.wait_for_timeout(500)
        assert page.evaluate("() => document.documentElement.scrollWidth") <= 360
        small = page.evaluate(
            "() => [...document.querySelectorAll('button, a.button, select')].filter(e => e.offsetParent && "
            "e.getBoundingClientRect().height < 44).map(e => e.textContent)"
        )
        assert small == []
        assert contrasts(page) == []
    if scheme == "light":
        shot(page, "web-phone")


def contrasts(page: "playwright.Page") -> list[str]:
    """Texts whose contrast with their background is below 4.5 (WCAG AA)."""
    return page.evaluate(
        """() => {
        const parse = (color) => color.match(/[\\d.]+/g).map(Number);
        const luminance = ([r, g, b]) => [r, g, b].map(v => v / 255)
            .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
            .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
        const background = (element) => {
            for (let e = element; e; e = e.parentElement) {
                const color = parse(getComputedStyle(e).backgroundColor);
                if (color.length === 3 || color[3] === 1) return color;
            }
            return [255, 255, 255];
        };
        return [...document.querySelectorAll('body *')].filter(e => e.offsetParent && !e.disabled &&
            [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim())).filter(e => {
            const [one, other] = [luminance(parse(getComputedStyle(e).color)), luminance(background(e))];
            return (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05) < 4.5;
        }).map(e => e.textContent.trim());
    }"""
    )


def test_an_image_is_pasted(running: Running, open_page: Open) -> None:
    page = open_page(running.url)
    is_ready(page)
    page.evaluate(
        """(text) => {
        const bytes = Uint8Array.from(atob(text), c => c.charCodeAt(0));
        const data = new DataTransfer();
        data.items.add(new File([bytes], "pasted.png", { type: "image/png" }));
        document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true }));
    }""",
        base64.b64encode(png(seed=12)).decode(),
    )
    expect(page.get_by_alt_text("Content image pasted.png")).to_be_visible(timeout=20_000)


def test_a_file_that_is_no_image_is_refused_in_place(running: Running, open_page: Open) -> None:
    page = open_page(running.url)
    is_ready(page)
    faults = page.get_by_role("alert")
    page.locator("input[type=file][aria-label='Content image']").set_input_files(
        {"name": "text.png", "mimeType": "image/png", "buffer": b"hello"}
    )
    expect(faults.first).to_contain_text("text.png: is text; give a PNG, JPEG", timeout=20_000)


def test_a_job_is_started_with_the_keyboard_alone(running: Running, open_page: Open) -> None:
    page = open_page(running.url)
    is_ready(page)

    def press(name: str) -> None:
        """Go to a button with Tab, and press it."""
        for _ in range(80):
            page.keyboard.press("Tab")
            focused = page.evaluate("() => document.activeElement.textContent")
            if focused == name:
                page.keyboard.press("Enter")
                return
        raise AssertionError(f"{name} was not reached")

    press("portrait")
    expect(page.get_by_alt_text("Content image portrait.jpg")).to_be_visible(timeout=20_000)
    press("glass")
    expect(page.get_by_alt_text("Style image glass.jpg")).to_be_visible(timeout=20_000)
    press("Start")
    expect(page.locator("#state")).to_be_visible()
    running.client.ask(1, "cancel")


def test_the_first_page_is_small_and_soon_ready(running: Running, open_page: Open) -> None:
    sizes: list[int] = []
    asked: list[str] = []
    page = open_page("about:blank")
    page.on("request", lambda request: asked.append(request.url.removeprefix(running.url)))
    page.on("response", lambda response: sizes.append(len(response.body())) if "/static/" in response.url else None)
    page.goto(running.url)
    is_ready(page)
    assert 20_000 < sum(sizes) < 150_000
    page.wait_for_timeout(300)
    calls = [path.partition("?")[0] for path in asked if path.startswith("/api/")]
    assert calls == ["/api/start", "/api/events"]  # nothing waits for another answer, and nothing is loaded twice
