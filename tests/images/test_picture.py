"""`Picture`: validation, compositing, rounding."""

import numpy as np
import pytest
import torch

from impasto.errors import PictureError
from impasto.images.loading import load
from impasto.images.picture import Picture


@pytest.mark.parametrize(
    ("tensor", "word"),
    [
        (torch.zeros(3, 2, 2, dtype=torch.float64), "float64"),
        (torch.zeros(2, 2), r"\(2, 2\)"),
        (torch.zeros(4, 2, 2), r"\(4, 2, 2\)"),
        (torch.zeros(3, 0, 2), r"\(3, 0, 2\)"),
        (torch.full((3, 2, 2), 1.01), "1.01"),
        (torch.full((3, 2, 2), -0.5), "-0.5"),
        (torch.full((3, 2, 2), torch.nan), "nan"),
        (np.zeros((3, 2, 2), np.float32), "ndarray"),
    ],
)
def test_a_tensor_of_wrong_type_shape_or_range_is_refused(tensor, word):
    with pytest.raises(PictureError, match=word):
        Picture(tensor)


def test_alpha_is_validated_too():
    with pytest.raises(PictureError, match=r"\(1, H, W\)"):
        Picture(torch.zeros(3, 2, 4), torch.zeros(3, 2, 4))
    with pytest.raises(PictureError, match=r"\(4, 2\)"):
        Picture(torch.zeros(3, 2, 4), torch.zeros(1, 4, 2))


def test_width_and_height():
    shape = Picture(torch.zeros(3, 2, 4))
    assert (shape.width, shape.height) == (4, 2)


def test_rounded_is_what_a_saved_file_holds(tmp_path):
    exact = Picture(torch.rand(3, 9, 5), torch.rand(1, 9, 5))
    exact.save(tmp_path / "a.png")
    loaded = load(tmp_path / "a.png")
    assert torch.equal(loaded.tensor, exact.rounded().tensor)
    assert torch.equal(loaded.alpha, exact.rounded().alpha)


def test_alpha_is_composited_on_the_mean_of_the_visible_pixels():
    red_and_blue = torch.zeros(3, 1, 4)
    red_and_blue[0, 0, :3], red_and_blue[2, 0, 3] = 1, 1
    alpha = torch.tensor([[[1.0, 0.5, 0.0, 0.5]]])
    composited = Picture(red_and_blue, alpha).composited()
    mean = torch.tensor([0.75, 0, 0.25])
    assert torch.allclose(composited[:, 0, 2], mean)
    assert torch.allclose(composited[:, 0, 1], 0.5 * mean + 0.5 * red_and_blue[:, 0, 1])
    assert torch.equal(composited[:, 0, 0], red_and_blue[:, 0, 0])


def test_compositing_adds_no_other_color():
    plain = torch.full((3, 8, 8), 0.3)
    plain[:, 4:] = torch.rand(3, 4, 8)
    alpha = torch.rand(1, 8, 8)
    alpha[:, 4:] = 0
    assert torch.allclose(Picture(plain, alpha).composited(), torch.full((3, 8, 8), 0.3))


def test_a_fully_transparent_image_is_composited_on_its_mean():
    hidden = Picture(torch.rand(3, 4, 4), torch.zeros(1, 4, 4))
    assert torch.allclose(hidden.composited().mean((1, 2)), hidden.tensor.mean((1, 2)))
    opaque = Picture(torch.rand(3, 4, 4))
    assert opaque.composited() is opaque.tensor
