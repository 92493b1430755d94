"""The mask editor in a real browser: what is painted is what is stored, to the pixel."""

import numpy as np
from PIL import Image
from web_browser import NEEDS_CHROMIUM, Open, choose, is_ready, playwright, start, state
from web_server import Running

expect = playwright.expect
pytestmark = NEEDS_CHROMIUM
WIDTH, HEIGHT = 120, 90
"""Of the content image."""
SMALL = {"width": 640, "height": 560}
"""The window: without a GPU a large one takes long to draw."""


class Editor:
    """The open mask editor. Coordinates are in pixels of the content image."""

    def __init__(self, page: "playwright.Page", name: str) -> None:
        self.page, self.dialog = page, page.get_by_role("dialog", name=name)
        self.canvas = self.dialog.locator(".viewer canvas")
        expect(self.canvas).to_be_visible()
        page.wait_for_timeout(300)  # the canvas has got its size
        box = self.canvas.bounding_box()
        assert box is not None
        self.middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        self.center = WIDTH / 2, HEIGHT / 2
        self.scale = min(box["width"] / WIDTH, box["height"] / HEIGHT)

    def press(self, *names: str) -> None:
        for name in names:
            self.dialog.get_by_role("button", name=name, exact=True).click()

    def set_brush(self, size: float, softness: float = 0.0) -> None:
        for name, value in (("Softness", softness), ("Size", np.log2(size))):
            self.dialog.get_by_role("slider", name=name).evaluate(
                "(input, value) => { input.value = value; input.dispatchEvent(new Event('input')); }", str(value)
            )

    def at(self, x: float, y: float) -> tuple[float, float]:
        """The place of a point on the screen."""
        return tuple(  # type: ignore[return-value]
            middle + (value - center) * self.scale
            for middle, center, value in zip(self.middle, self.center, (x, y), strict=True)
        )

    def drag(self, *points: tuple[float, float]) -> None:
        self.page.mouse.move(*self.at(*points[0]))
        self.page.mouse.down()
        for point in points[1:]:
            self.page.mouse.move(*self.at(*point), steps=7)
        self.page.mouse.up()

    def turn_wheel(self, x: float, y: float) -> None:
        """Zoom in around a point, which stays where it is."""
        middle = tuple(round(each) for each in self.at(x, y))  # wheel events have whole numbers
        self.center = tuple(
            c + (m - old) / self.scale for c, m, old in zip(self.center, middle, self.middle, strict=True)
        )
        self.middle = middle
        self.page.evaluate("() => addEventListener('wheel', (event) => { window.turned = event.deltaY; })")
        self.page.mouse.move(*middle)
        self.page.mouse.wheel(0, -150)
        self.page.wait_for_function("() => window.turned")
        self.scale *= np.exp(-0.0015 * self.page.evaluate("() => window.turned"))

    def save(self) -> None:
        self.press("Save mask")
        expect(self.dialog).to_be_hidden()


def open_editor(page: "playwright.Page", role: str = "keep", name: str = "Protected area") -> Editor:
    page.locator(f"[data-mask={role}]").click()
    return Editor(page, name)


def page_with_images(running: Running, open_page: Open, **options: object) -> "playwright.Page":
    page = open_page(running.url, viewport=SMALL, **options)
    is_ready(page)
    choose(page)
    return page


def stored(running: Running, digest: str) -> np.ndarray:
    """A mask as the server has stored it."""
    image = Image.open(running.service.files.path(digest))
    assert image.mode == "L"
    return np.asarray(image)


def stored_mask(running: Running, page: "playwright.Page") -> np.ndarray:
    """The protected area of the draft."""
    page.wait_for_timeout(300)
    return stored(running, page.evaluate("() => JSON.parse(sessionStorage.getItem('impasto-draft')).keep"))


def assert_painted(mask: np.ndarray, distance: np.ndarray, radius: float, tolerance: float) -> None:
    """Pixels are white where the distance of their centers from the painted line is below the radius."""
    assert mask.shape == distance.shape == (HEIGHT, WIDTH)
    clear = np.abs(distance - radius) > tolerance  # the mouse moves in whole pixels of the screen
    assert np.array_equal(mask[clear], np.where(distance < radius, 255, 0)[clear])


def centers() -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH] + 0.5
    return x, y


def test_a_mask_is_painted_to_the_pixel_and_edited_again(running: Running, open_page: Open) -> None:
    page = page_with_images(running, open_page)
    editor = open_editor(page)
    editor.set_brush(20)
    editor.drag((30, 40), (80, 40))
    editor.drag((119.8, 89.8))  # the last row and the last column
    editor.save()
    expect(page.locator("[data-mask=keep]")).to_have_attribute("aria-pressed", "true")
    mask = stored_mask(running, page)
    x, y = centers()
    distance = np.minimum(np.hypot(x - np.clip(x, 30, 80), y - 40), np.hypot(x - 119.8, y - 89.8))
    assert_painted(mask, distance, 10, 0.6)
    assert mask[89, 119] == 255
    # opened again it is the same, and everything can be undone
    editor = open_editor(page)
    editor.press("Invert", "Undo", "Redo")
    editor.save()
    assert np.array_equal(stored_mask(running, page), 255 - mask)


def test_a_rectangle_has_exactly_the_pixels_between_its_corners(running: Running, open_page: Open) -> None:
    page = page_with_images(running, open_page)
    editor = open_editor(page)
    editor.press("Rectangle")
    editor.drag((30.1, 20.1), (100, 80), (70.9, 49.9))  # larger on the way
    editor.drag((90.9, 85.2), (80.1, 80.2))  # from the right lower corner
    editor.drag((110, 70), (300, 300))  # beyond the image
    editor.save()
    expected = np.zeros((HEIGHT, WIDTH), np.uint8)
    for left, top, right, bottom in ((30, 20, 71, 50), (80, 80, 91, 85), (110, 70, WIDTH, HEIGHT)):
        expected[top:bottom, left:right] = 255
    assert np.array_equal(stored_mask(running, page), expected)
    editor = open_editor(page)
    editor.set_brush(10)
    editor.press("Eraser")
    editor.drag((40, 30), (60, 30))
    editor.save()
    x, y = centers()
    erased = np.hypot(x - np.clip(x, 40, 60), y - 30)
    mask, clear = stored_mask(running, page), np.abs(erased - 5) > 0.6
    assert np.array_equal(mask[clear], np.where(erased < 5, 0, expected)[clear])


def test_a_stroke_on_a_zoomed_image_lands_on_the_right_pixels(running: Running, open_page: Open) -> None:
    page = page_with_images(running, open_page, device_scale_factor=2)
    editor = open_editor(page)
    editor.set_brush(8)
    editor.press("Zoom in")
    editor.scale *= 1.5
    editor.drag((50, 40), (70, 52))
    editor.turn_wheel(75, 35)
    editor.drag((75, 35), (80, 35))
    editor.canvas.press("ArrowLeft")  # a tenth of the width to the left
    box = editor.canvas.bounding_box()
    assert box is not None
    editor.middle = editor.middle[0] + box["width"] / 10, editor.middle[1]
    editor.drag((65, 25), (65, 30))
    editor.press("Fit")
    editor.save()
    x, y = centers()
    along = np.clip(((x - 50) * 20 + (y - 40) * 12) / (20**2 + 12**2), 0, 1)
    distance = np.min(
        [
            np.hypot(x - 50 - 20 * along, y - 40 - 12 * along),
            np.hypot(x - np.clip(x, 75, 80), y - 35),
            np.hypot(x - 65, y - np.clip(y, 25, 30)),
        ],
        axis=0,
    )
    assert_painted(stored_mask(running, page), distance, 4, 0.15)


def test_discarded_changes_leave_the_mask_as_it_was(running: Running, open_page: Open) -> None:
    page = page_with_images(running, open_page)
    editor = open_editor(page)
    editor.press("Close without saving")  # nothing was changed: no question
    expect(editor.dialog).to_be_hidden()
    expect(page.locator("[data-mask=keep]")).to_have_attribute("aria-pressed", "false")
    editor = open_editor(page)
    editor.drag((30, 40), (80, 40))
    editor.save()
    before = stored_mask(running, page)
    editor = open_editor(page)
    editor.press("Fill")
    question = page.get_by_role("dialog", name="Discard the changes")
    page.keyboard.press("Escape")
    question.get_by_role("button", name="Close").click()  # the mask is edited on
    expect(question).to_be_hidden()
    expect(editor.dialog).to_be_visible()
    editor.press("Close without saving")
    question.get_by_role("button", name="Discard the changes").click()
    expect(editor.dialog).to_be_hidden()
    assert np.array_equal(stored_mask(running, page), before)
    editor = open_editor(page)
    editor.press("Clear")
    editor.save()  # an empty mask is none
    expect(page.locator("[data-mask=keep]")).to_have_attribute("aria-pressed", "false")


def test_the_mask_of_a_style_image_is_kept_and_changed_in_forks(running: Running, open_page: Open) -> None:
    page = page_with_images(running, open_page)
    editor = open_editor(page, "style-1", "Mask of style image 1")
    editor.press("Rectangle")
    editor.drag((0, 0), (60, 90))
    editor.save()
    start(page, 3)
    state(page, "done")
    page.get_by_role("button", name="Fork").click()
    fork = page.get_by_role("dialog", name="Fork")
    button = fork.get_by_role("button", name="Mask of the style image")
    expect(button).to_have_attribute("aria-pressed", "true")
    fork.get_by_role("button", name="Start the fork").click()
    expect(page.get_by_role("link", name="from job 1")).to_be_visible(timeout=20_000)
    state(page, "done")
    page.get_by_role("button", name="Fork").click()
    button.click()
    editor = Editor(page, "Mask of the style image")
    editor.press("Invert")
    editor.save()
    fork.get_by_role("button", name="Start the fork").click()
    expect(page.get_by_role("link", name="from job 2")).to_be_visible(timeout=20_000)
    masks = [running.client.job(number)["spec"]["styles"][0]["mask"] for number in (1, 2, 3)]
    assert masks[1] == masks[0]
    assert np.array_equal(stored(running, masks[2]), 255 - stored(running, masks[0]))
    assert (stored(running, masks[0])[:, :60] == 255).all()
    state(page, "done")
    page.get_by_role("button", name="Fork").click()
    button.click()
    editor = Editor(page, "Mask of the style image")
    editor.press("Clear")
    editor.save()
    expect(button).to_have_attribute("aria-pressed", "false")
    fork.get_by_role("button", name="Start the fork").click()
    expect(page.get_by_role("link", name="from job 3")).to_be_visible(timeout=20_000)
    assert running.client.job(4)["spec"]["styles"][0]["mask"] is None
