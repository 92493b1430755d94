"""A page in Chromium, driven by Playwright: what the tests of the page do there."""

import shutil
from collections.abc import Callable

import pytest
from web_inputs import png

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright, see CONTRIBUTING")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
NEEDS_CHROMIUM = [
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
DESKTOP, PHONE = {"width": 1280, "height": 860}, {"width": 390, "height": 844}
expect = playwright.expect
Open = Callable[..., "playwright.Page"]


def is_ready(page: "playwright.Page") -> None:
    expect(page.locator("body[data-ready]")).to_be_attached(timeout=20_000)


def choose(page: "playwright.Page", style: str = "style.png", *, seed: int = 0) -> None:
    """Choose a content image and a style image of noise; `style` says how the job goes."""
    for name, file in (("Content image", "content.png"), ("Style image", style)):
        page.get_by_label(name, exact=True).locator("visible=true").or_(
            page.get_by_label(name, exact=True)
        ).last.set_input_files({"name": file, "mimeType": "image/png", "buffer": png(120, 90, seed=seed + len(file))})
        expect(page.get_by_alt_text(f"{name} {file}")).to_be_visible(timeout=20_000)


def set_number(page: "playwright.Page", name: str, value: int) -> None:
    field = page.get_by_role("spinbutton", name=name, exact=True)
    field.fill(str(value))
    field.press("Tab")


def start(page: "playwright.Page", steps: int) -> None:
    page.get_by_text("All settings", exact=True).click()
    set_number(page, "Steps", steps)
    page.get_by_role("button", name="Start").click()


def state(page: "playwright.Page", text: str) -> None:
    expect(page.locator("#state")).to_have_text(text, timeout=30_000)
