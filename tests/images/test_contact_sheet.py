"""Contact sheets: layout, text, and size."""

import numpy as np
import pytest
from PIL import Image, ImageFont

from impasto.images import contact_sheet
from impasto.images.contact_sheet import MAX_SIDE, MIN_EDGE, TEXT_HEIGHT, Cell, draw, wrap

RED, BLUE = Image.new("RGB", (200, 100), "red"), Image.new("RGB", (200, 100), "blue")
FONT = ImageFont.load_default(size=TEXT_HEIGHT)


def places(image, color):
    """Left, top, right and bottom of what is of a color."""
    y, x = np.nonzero((np.array(image) == np.array(color)).all(-1))
    return [x.min(), y.min(), x.max() + 1, y.max() + 1]


def is_written(image, box):
    """Whether there is black on a part of the sheet."""
    return (np.array(image.crop(box)).max(-1) < 80).any()


def test_images_are_in_their_row_and_column_unchanged():
    drawn = draw([[Cell(RED), Cell(BLUE)], [Cell(BLUE), Cell(BLUE)]])
    red, blue = places(drawn, (255, 0, 0)), places(drawn, (0, 0, 255))
    assert (red[2] - red[0], red[3] - red[1]) == (200, 100)
    assert red[:2] == blue[:2]  # the corner of the rectangle that the three others span
    assert blue[2] > red[2]
    assert blue[3] > red[3]


def test_labels_are_written_above_columns_and_left_of_rows_and_captions_below():
    drawn = draw([[Cell(RED, ("caption",))]], columns=["column"], rows=["row"])
    left, top, right, bottom = places(drawn, (255, 0, 0))
    assert is_written(drawn, (left, 0, right, top))
    assert is_written(drawn, (0, top, left, bottom))
    assert is_written(drawn, (left, bottom, right, drawn.height))
    plain = draw([[Cell(RED)]])
    assert not is_written(plain, (0, 0, *plain.size))


def test_a_missing_image_is_a_gray_box():
    drawn = draw([[Cell(RED), Cell(None, ("diverged",))]])
    assert places(drawn, (220, 220, 220))[2:] >= places(drawn, (255, 0, 0))[2:]


def test_a_sheet_without_any_image_can_be_drawn():
    assert min(draw([[Cell(None)]]).size) > MIN_EDGE


def test_a_row_is_as_high_as_its_own_images():
    flat, tall = Image.new("RGB", (200, 100), "red"), Image.new("RGB", (200, 300), "blue")
    drawn = draw([[Cell(flat)], [Cell(tall)]])
    assert drawn.height == 100 + 300 + 3 * contact_sheet.GAP
    assert places(drawn, (255, 0, 0))[1] == contact_sheet.GAP


def test_a_short_last_row_leaves_white():
    assert draw([[Cell(RED), Cell(RED)], [Cell(RED)]]).width == draw([[Cell(RED), Cell(RED)]]).width


@pytest.mark.parametrize(
    "text",
    [
        "block1_conv1+block2_conv1+block3_conv1+block4_conv1+block5_conv1",
        "x" * 400,
        "RMS difference 29.4 of 255, PSNR 18.8 dB",
        "two\nlines",
        "",
        "W" * 10,
    ],
)
def test_text_is_wrapped_to_the_width(text):
    lines = wrap(text, MIN_EDGE, FONT)
    assert all(FONT.getlength(line) <= MIN_EDGE for line in lines)
    assert len(lines) <= contact_sheet.MAX_LINES
    kept = "".join(lines).replace(" ", "")
    assert kept == text.replace("\n", "\\n").replace(" ", "") or lines[-1] == "..."


@pytest.mark.parametrize(("columns", "rows"), [(1, 1), (4, 5), (12, 2), (2, 30), (32, 32)])
def test_the_size_of_a_sheet_is_limited(columns, rows):
    edge = contact_sheet.cell_edge(columns, rows)
    drawn = draw([[Cell(Image.new("RGB", (edge, edge)), ("a",))] * columns] * rows, columns=["a"] * columns)
    assert max(drawn.size) < 1.3 * MAX_SIDE
    assert edge >= MIN_EDGE


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tiff"])
def test_the_suffix_chooses_the_format(suffix, tmp_path):
    contact_sheet.save(draw([[Cell(RED)]]), tmp_path / f"s.{suffix}")
    with Image.open(tmp_path / f"s.{suffix}") as image:
        assert image.size == draw([[Cell(RED)]]).size
