"""Faces: found at any size and place, and the masks over them."""

from importlib import resources

import pytest
import torch
from torch import Tensor

from impasto import load
from impasto.images.faces import network
from impasto.images.faces.detector import Face, detect
from impasto.images.faces.mask import face_mask
from impasto.images.resize import resize

DEMO = resources.files("impasto") / "demo"

OPENCV = torch.tensor([[227.62, 143.35], [285.38, 146.16], [256.68, 178.65], [228.15, 198.01], [278.35, 199.65]]) / 512
"""Eyes, nose and corners of the mouth of the bundled portrait, as OpenCV 5.0 finds them with the same network."""


def demo(name: str) -> Tensor:
    with resources.as_file(DEMO / f"{name}.jpg") as path:
        return load(path).tensor[None]


def scene(face_pixels: int, left: int, top: int) -> Tensor:
    """A scene of 1200x800 pixels with the head of the bundled portrait in it, whose face has about that width."""
    head = demo("portrait")[:, :, 30:270, 120:380]
    edge = round(260 * face_pixels / 125)
    image = resize(demo("waves"), 800, 1200)
    image[:, :, top : top + edge * 12 // 13, left : left + edge] = resize(head, edge * 12 // 13, edge)
    return image


def test_the_network_gives_the_landmarks_that_opencv_computes() -> None:
    levels = network.evaluate(demo("portrait"))
    scores = [(level["cls"].sigmoid() * level["obj"].sigmoid()).sqrt()[0, 0] for level in levels]
    best = max(range(3), key=lambda number: float(scores[number].max()))
    y, x = divmod(int(scores[best].argmax()), scores[best].shape[1])
    points = levels[best]["kps"][0, :, y, x].view(5, 2) + torch.tensor([x, y])
    torch.testing.assert_close(points * network.STRIDES[best] / 512, OPENCV, rtol=0, atol=0.01 / 512)
    assert float(scores[best].max()) == pytest.approx(0.9394, abs=1e-4)


def test_the_face_of_the_portrait_is_found() -> None:
    (face,) = detect(demo("portrait"))
    assert face.score > 0.9
    distances = (torch.tensor(face.landmarks) - OPENCV).norm(dim=1)
    assert float(distances.max()) < 0.1 * float((OPENCV[1] - OPENCV[0]).norm())  # found at another size of the image


@pytest.mark.parametrize("name", ["glass", "swirls", "waves"])
def test_no_face_is_found_where_there_is_none(name: str) -> None:
    assert detect(demo(name)) == ()


@pytest.mark.parametrize("pixels", [25, 60, 300])
def test_faces_of_any_size_are_found_in_a_scene(pixels: int) -> None:
    (face,) = detect(scene(pixels, left=300, top=90))
    eye = torch.tensor(face.landmarks[0]) * torch.tensor([1200, 800])
    expected = torch.tensor([300.0, 90.0]) + (torch.tensor([227.6, 143.4]) - torch.tensor([120, 30])) * pixels / 125
    assert float((eye - expected).norm()) < 0.08 * pixels


def test_an_image_of_one_pixel_has_no_face() -> None:
    assert detect(torch.rand(1, 3, 1, 1)) == ()
    assert detect(torch.rand(1, 3, 1, 900)) == ()


def test_a_face_that_fills_the_image_is_found() -> None:
    (face,) = detect(resize(demo("portrait")[:, :, 70:260, 170:340], 1900, 1700))
    assert face.box[2] - face.box[0] > 0.5


FACE = Face(0.9, (0.3, 0.2, 0.5, 0.6), ((0.35, 0.35), (0.45, 0.35), (0.4, 0.42), (0.36, 0.5), (0.44, 0.5)))


@pytest.mark.parametrize("size", [(60, 100), (240, 200)])
def test_the_mask_covers_the_features_and_ends_softly(size: tuple[int, int]) -> None:
    mask = face_mask([FACE], *size)
    assert mask.shape == (1, 1, *size)
    for x, y in FACE.landmarks:
        assert float(mask[0, 0, int(y * size[0]), int(x * size[1])]) > 0.5
    assert float(mask[0, 0, 0].max()) == float(mask[0, 0, :, -1].max()) == 0
    steps = [mask.diff(dim=axis).abs().max() for axis in (2, 3)]
    assert float(torch.stack(steps).max()) < 48 / min(size)


def test_the_mask_of_several_faces_is_their_union_and_that_of_none_is_empty() -> None:
    other = Face(0.8, (0.7, 0.2, 0.9, 0.6), tuple((x + 0.4, y) for x, y in FACE.landmarks))
    both = face_mask([FACE, other], 50, 50)
    assert torch.equal(both, torch.maximum(face_mask([FACE], 50, 50), face_mask([other], 50, 50)))
    assert not face_mask([], 50, 50).any()


def test_a_face_turned_to_the_side_has_a_mask_although_its_eyes_coincide() -> None:
    landmarks = ((0.4, 0.35), (0.4, 0.35), (0.35, 0.42), (0.4, 0.5), (0.4, 0.5))
    mask = face_mask([Face(0.9, (0.3, 0.2, 0.5, 0.6), landmarks)], 100, 100)
    assert bool(mask.isfinite().all())
    assert float(mask[0, 0, 42, 38]) == 1


def test_the_mask_of_landmarks_that_all_coincide_is_finite() -> None:
    assert bool(face_mask([Face(0.9, (0.3, 0.3, 0.4, 0.4), ((0.35, 0.35),) * 5)], 20, 20).isfinite().all())
