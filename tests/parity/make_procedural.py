"""Makes the two images of procedural_reference.json, in integer arithmetic: the same on every platform."""

import numpy as np
from PIL import Image

y, x = np.mgrid[0:72, 0:96]
disc = ((x - 60) ** 2 + (y - 30) ** 2 < 18**2).astype(int)
content_image = (
    np.stack([40 + 2 * x // 1 + 30 * disc, 200 - 2 * y - 60 * disc, 90 + (x * y) % 64 + 40 * disc], -1)
    .clip(0, 255)
    .astype(np.uint8)
)
y, x = np.mgrid[0:64, 0:96]
stripe = (x + 2 * y) // 6 % 3
style_image = (
    np.stack([60 + 80 * stripe, 220 - 90 * stripe + (x % 7) * 4, 30 + 100 * (stripe == 1) + (y % 5) * 9], -1)
    .clip(0, 255)
    .astype(np.uint8)
)
Image.fromarray(content_image).save("procedural_photo_96.png")
Image.fromarray(style_image).save("procedural_painting_96.png")
