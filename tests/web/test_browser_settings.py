"""Settings in a real browser: saved under a name, and restored from results and files."""

import base64
from pathlib import Path

import pytest
import torch
from web_browser import NEEDS_CHROMIUM, Open, is_ready, playwright
from web_inputs import png
from web_server import Running

from impasto.images.picture import Picture
from impasto.images.recipe import Recipe, environment
from impasto.settings.presets import preset

expect = playwright.expect
pytestmark = NEEDS_CHROMIUM


def test_settings_are_restored_from_a_result(running: Running, open_page: Open, tmp_path: Path) -> None:
    number = running.submit(tmp_path, settings={"strength": 0.85, "style_scale": 2.0, "steps": 3, "size": 128})
    running.client.wait(number)
    page = open_page(running.url)
    is_ready(page)
    item = page.locator(f"#queue [data-job='{number}']")
    item.drag_to(page.locator(".setup h2"))
    dialog = page.get_by_role("dialog", name="Restore settings")
    dialog.get_by_label("Style scale: 2").uncheck()
    dialog.get_by_role("button", name="Restore").click()
    strength = page.locator("[data-setting=strength] output")
    expect(strength).to_have_text("0.85")
    expect(page.locator("[data-setting=style_scale] output")).to_have_text("1")
    expect(page.get_by_role("spinbutton", name="Size", exact=True)).to_have_value("128")


@pytest.fixture
def file_with_recipe(tmp_path: Path) -> Path:
    """A small image that says that it was made with other settings."""
    recipe = Recipe(
        **environment(),
        task="stylize",
        settings=preset().replace(strength=0.15, color="luminance", content_layers={"block4_conv2": 2.0}),
        steps_done=1,
        content=None,
        styles=(),
        init=None,
        weights="",
        device="cpu",
        precision="float32",
        loss={},
    )
    path = tmp_path / "made.png"
    Picture(torch.zeros(3, 8, 9), recipe=recipe.model_dump(mode="json")).save(path)
    return path


def drop(page: "playwright.Page", name: str, content: bytes, target: str) -> None:
    """Drop a file of the disk."""
    transfer = page.evaluate_handle(
        """([name, text]) => {
        const transfer = new DataTransfer();
        const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
        transfer.items.add(new File([bytes], name, { type: "image/png" }));
        return transfer;
    }""",
        [name, base64.b64encode(content).decode()],
    )
    page.locator(target).dispatch_event("drop", {"dataTransfer": transfer})


def test_settings_are_restored_from_a_file_of_the_disk(
    running: Running, open_page: Open, file_with_recipe: Path
) -> None:
    page = open_page(running.url)
    is_ready(page)
    drop(page, "text.png", b"no image", ".setup")
    expect(page.get_by_text("text.png: is text; give a PNG, JPEG")).to_be_visible(timeout=20_000)
    drop(page, "plain.png", png(), ".setup")
    expect(page.get_by_text("plain.png: has no recipe; drop an image that impasto saved")).to_be_visible(timeout=20_000)
    drop(page, "made.png", file_with_recipe.read_bytes(), ".setup")
    dialog = page.get_by_role("dialog", name="Restore settings")
    names = {
        "Strength: 0.15 (now 0.5)",
        "Color: luminance (now style)",
        "Content layers: block4_conv2=2 (now block4_conv2=1)",
    }
    expect(dialog.get_by_role("checkbox")).to_have_count(4)  # and the depth
    for name in names:
        expect(dialog.get_by_label(name)).to_be_checked()
    dialog.get_by_role("button", name="None").click()
    dialog.get_by_label("Strength").check()
    dialog.get_by_label("Content layers").check()
    dialog.get_by_role("button", name="Restore").click()
    expect(page.locator("[data-setting=strength] output")).to_have_text("0.15")
    expect(page.get_by_label("Color", exact=True)).to_have_value("style")
    page.get_by_text("All settings", exact=True).click()
    expect(page.get_by_role("textbox", name="Content layers")).to_have_value("block4_conv2=2")
    # dropped as a content image it offers the same
    drop(page, "made.png", file_with_recipe.read_bytes(), "[aria-label='Content image'] .drop")
    page.get_by_role("button", name="Restore settings").click()
    expect(dialog.get_by_label("Color: luminance (now style)")).to_be_checked()


def test_settings_are_saved_applied_and_deleted_on_all_pages(running: Running, open_page: Open) -> None:
    page, other = open_page(running.url), open_page(running.url)
    for each in (page, other):
        is_ready(each)
    name = "soft / oil & 50 %?"
    strength = page.get_by_role("slider", name="Strength")
    strength.focus()
    for _ in range(3):
        strength.press("ArrowRight")
    page.get_by_label("Color", exact=True).select_option("luminance")
    page.get_by_role("button", name="Save settings").click()
    dialog = page.get_by_role("dialog", name="Save settings")
    dialog.get_by_label("Name of the settings").fill("x" * 100)
    page.route("**/api/saved/*", lambda route: route.abort(), times=1)
    dialog.get_by_role("button", name="Save").click()
    # the fault is shown above the dialog, which stays open
    expect(page.locator("#toasts:popover-open")).to_have_text("the server does not answer; check that it is running")
    dialog.get_by_label("Name of the settings").fill(name)
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_be_hidden()
    presets = page.get_by_role("combobox", name="Preset")
    expect(presets.locator("option:checked")).to_have_text(name)
    presets.select_option(running.client.call("GET", "/api/setup")["presets"][0]["name"])
    expect(page.locator("[data-setting=strength] output")).to_have_text("0.5")
    expect(page.get_by_role("button", name="Delete the saved settings")).to_be_hidden()
    # another page, which was open, has them, too
    other.get_by_role("combobox", name="Preset").select_option(name)
    expect(other.locator("[data-setting=strength] output")).to_have_text("0.65")
    expect(other.get_by_label("Color", exact=True)).to_have_value("luminance")
    other.get_by_role("button", name="Delete the saved settings").click()
    other.get_by_role("dialog").get_by_role("button", name="Delete settings").click()
    for each in (page, other):
        expect(each.get_by_role("combobox", name="Preset").locator("option", has_text=name)).to_have_count(0)
    expect(other.locator("[data-setting=strength] output")).to_have_text("0.65")  # the settings stay as they are
    assert running.client.call("GET", "/api/setup")["saved"] == []


@pytest.mark.parametrize("height", [600, 860])
def test_no_control_that_has_the_focus_is_below_a_bar(running: Running, open_page: Open, height: int) -> None:
    page = open_page(running.url, viewport={"width": 1280, "height": height})
    is_ready(page)
    page.get_by_role("button", name="portrait").focus()
    covered, seen = (
        """() => {
        const { top, bottom } = document.activeElement.getBoundingClientRect();
        const header = document.querySelector(".top").getBoundingClientRect();
        const start = document.querySelector(".start").getBoundingClientRect();
        const isBelow = !document.activeElement.closest(".start") && bottom > start.top && top < start.bottom;
        if (!document.activeElement.closest("#view")) return false;
        return isBelow || top < header.bottom || bottom > innerHeight;
    }""",
        set(),
    )
    for key in ["Tab"] * 25 + ["Shift+Tab"] * 20:
        page.keyboard.press(key)
        name = page.evaluate("() => document.activeElement.id || document.activeElement.textContent")
        seen.add(name)
        assert not page.evaluate(covered), name
    assert {"256", "More", "All settings"} < seen


def test_a_low_window_is_left_to_the_settings(running: Running, open_page: Open) -> None:
    page = open_page(running.url, viewport={"width": 1280, "height": 600})
    is_ready(page)
    expect(page.locator("#start")).not_to_be_in_viewport()
    page.set_viewport_size({"width": 1280, "height": 860})
    expect(page.locator("#start")).to_be_in_viewport()


def test_what_a_setting_does_is_said_in_a_sentence_and_in_more_on_request(running: Running, open_page: Open) -> None:
    page = open_page(running.url)
    is_ready(page)
    color = page.locator("[data-setting=color]")
    expect(page.get_by_label("Color", exact=True)).to_have_accessible_description("Colors of the output.")
    rest = color.get_by_text("luminance: the chroma of the content image")
    expect(rest).to_be_hidden()
    page.get_by_label("More about Color").click()
    expect(rest).to_be_visible()
    expect(page.locator("[data-setting=size] details")).to_have_count(0)  # one sentence is all
