"""Upsampling of a stylized image, guided by the content image: edges as sharp as there, strokes as they are.

    O = up(S) + up(a) (Y - up(y)),    a = cov(S, y) / (var(y) + EPSILON), limited to [-1, 1]

S: the stylized image, y and Y: the luma of the content image at the size of S and at that of the output. a is the slope
of the guided filter (He, Sun, Tang, IEEE TPAMI 35, 2013, equation 5), computed at the small size and enlarged (He, Sun,
arXiv 1505.00996). That filter returns a Y + b, which has no strokes smaller than its window. Here S keeps them, and
what the content image loses at the small size, Y - up(y), is added where S follows it.
"""

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from impasto.images.bands import row_bands

RADIUS = 4
"""Of the window, in pixels of the small image."""
EPSILON = 1e-3
"""Variance of the luma, (8/255)^2, far below which a window counts as flat: the content's grain is not added there."""
MAX_SLOPE = 1.0
"""Where a style has more contrast than the content, its grain would be amplified as well."""
LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue (ITU-R BT.601)."""


def guided_upsampling(image: Tensor, small: Tensor, content: Tensor, out: Tensor | None = None) -> Tensor:
    """Enlarge a stylized image to the size of its content image: (1, 3, h, w) -> (1, 3, H, W) in [0, 1].

    Besides the result, only a band of rows of it is in memory at a time.

    Args:
        image: (1, 3, h, w) float32 in [0, 1], on the CPU, like the others.
        small: (1, 3, h, w), the content image at the size of `image`.
        content: (1, 3, H, W), the content image at the size of the output.
        out: the output tensor, (3, H, W); it may be that of `content`, which is overwritten band by band.
    """
    guide = luma(small)
    planes = [
        (Image.fromarray(plane.numpy()), Image.fromarray(slope.numpy()))
        for plane, slope in zip(image[0], regression_slopes(image, guide)[0], strict=True)
    ]
    guide_plane, size = Image.fromarray(guide[0, 0].numpy()), (content.shape[2], content.shape[3])
    output = torch.empty_like(content) if out is None else out[None]
    for rows in row_bands(*size):
        lost = luma(content[:, :, rows])[0, 0] - _enlarged_rows(guide_plane, rows, size, Image.Resampling.BILINEAR)
        for channel, (plane, slope) in enumerate(planes):
            gain = _enlarged_rows(slope, rows, size, Image.Resampling.BILINEAR)
            enlarged = _enlarged_rows(plane, rows, size, Image.Resampling.LANCZOS)
            output[0, channel, rows] = enlarged.addcmul_(gain, lost).clamp_(0, 1)
    return output


def luma(images: Tensor) -> Tensor:
    """(N, 3, H, W) sRGB -> (N, 1, H, W)."""
    return (images * images.new_tensor(LUMA)[:, None, None]).sum(1, keepdim=True)


def regression_slopes(image: Tensor, guide: Tensor) -> Tensor:
    """Slopes of the regression of an image (1, C, h, w) on a guide (1, 1, h, w), limited and averaged: (1, C, h, w)."""
    guide_mean, image_mean = _window_mean(guide), _window_mean(image)
    covariance = _window_mean(guide * image) - guide_mean * image_mean
    variance = _window_mean(guide.square()) - guide_mean.square()
    slopes = covariance / (variance + EPSILON)
    return _window_mean(slopes.clamp_(-MAX_SLOPE, MAX_SLOPE))


def _window_mean(values: Tensor) -> Tensor:
    """Mean over the square window around each position, cut off at the edges of the image."""
    return F.avg_pool2d(values, 2 * RADIUS + 1, stride=1, padding=RADIUS, count_include_pad=False)


def _enlarged_rows(plane: Image.Image, rows: slice, size: tuple[int, int], resampling: Image.Resampling) -> Tensor:
    """Some rows of an image in Pillow's mode F, resized to `size`: (rows, W).

    Pillow's box selects what is returned; pixels around it are still read, so bands are those of the whole image.
    """
    height, width = size
    scale = plane.height / height
    box = (0, rows.start * scale, plane.width, rows.stop * scale)
    return torch.from_numpy(np.array(plane.resize((width, rows.stop - rows.start), resampling, box)))
