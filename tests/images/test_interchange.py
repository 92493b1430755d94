"""Images of Pillow, arrays, tensors, bytes and open files as pictures, and pictures as these."""

import io
import struct
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms, ImageOps
from PIL.PngImagePlugin import PngInfo

import impasto
from impasto.errors import PictureError, RecipeError, SettingError
from impasto.images.loading import as_picture, load, load_recipe
from impasto.images.masks import Style, mask_values
from impasto.images.picture import DISPLAY_EDGE, Picture
from impasto.images.quantize import Quantization

P3 = [31_270, 32_900, 68_000, 32_000, 26_500, 69_000, 15_000, 6_000]
"""White point and primaries of Display P3, times 100 000."""
RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (20, 30, 3), dtype=np.uint8)
RGBA = RNG.integers(0, 256, (20, 30, 4), dtype=np.uint8)


def colors(samples):
    """(H, W, 3) in [0, 1] -> the tensor of a picture with these colors."""
    return torch.from_numpy(samples.astype(np.float32) / np.float32(255)).permute(2, 0, 1)


def file_of(image, **options):
    file = io.BytesIO()
    image.save(file, "PNG", **options)
    return file


# -- arrays and tensors --


@pytest.mark.parametrize(
    "array",
    [
        RGB,
        RGB[None],
        RGB.transpose(2, 0, 1),
        RGB.transpose(2, 0, 1)[None],
        RGB.astype(np.uint16) * 257,
        (RGB.astype(np.uint16) * 257).astype(">u2"),
        RGB / 255,
        RGB.astype(np.float32) / np.float32(255),
        torch.from_numpy(RGB),
        torch.from_numpy(RGB)[None].float() / 255,
        torch.from_numpy(RGB).permute(2, 0, 1)[None].double() / 255,
        (torch.from_numpy(RGB).float() / 255).requires_grad_(),
        RGB[::-1, ::-1][::-1, ::-1],
    ],
    ids=lambda array: f"{type(array).__name__} {array.dtype} {tuple(array.shape)}",
)
def test_an_array_of_any_layout_and_dtype_is_the_same_picture(array):
    picture = Picture.from_array(array, name="a")
    assert torch.allclose(picture.tensor, colors(RGB), rtol=0, atol=1e-7)
    assert (picture.alpha, picture.name, picture.tensor.dtype) == (None, "a", torch.float32)
    assert np.array_equal(picture.to_array(), RGB)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_read_as_it_is(dtype):
    values = torch.rand(20, 30, 3, generator=torch.Generator().manual_seed(1)).to(dtype)
    assert torch.equal(Picture.from_array(values).tensor, values.float().permute(2, 0, 1))


def test_a_picture_is_a_copy_of_the_array():
    for array in (RGB.copy(), np.ascontiguousarray(RGB.transpose(2, 0, 1) / np.float32(255)), torch.zeros(3, 20, 30)):
        picture = Picture.from_array(array)
        before = picture.tensor.clone()
        array[:] = 1
        assert torch.equal(picture.tensor, before)
    floats = picture.to_array("float32")
    floats[:] = 0.5
    assert torch.equal(picture.tensor, before)


@pytest.mark.parametrize("gray", [RGB[..., 0], RGB[..., :1], RGB[..., 0][None], RGB[..., 0][None, None]])
def test_one_channel_is_gray(gray):
    assert np.array_equal(Picture.from_array(gray).to_array(), RGB[..., [0, 0, 0]])


def test_a_boolean_array_is_black_and_white():
    mask = RGB[..., 0] > 128
    for given in (mask, torch.from_numpy(mask)):
        picture = Picture.from_array(given)
        assert np.array_equal(picture.to_array(), 255 * np.stack([mask] * 3, 2).astype(np.uint8))
        assert torch.equal(mask_values(Style(RGB, mask=given).mask)[0], torch.from_numpy(mask).float())


def test_the_fourth_channel_is_alpha_unless_all_pixels_are_opaque():
    for array in (RGBA, RGBA.transpose(2, 0, 1)[None], RGBA / 255):
        picture = Picture.from_array(array)
        assert torch.allclose(picture.alpha, colors(RGBA[..., 3:]))
        assert np.array_equal(picture.to_array(), RGBA)
    opaque = np.dstack([RGB, np.full((20, 30), 255, np.uint8)])
    assert Picture.from_array(opaque).alpha is None


@pytest.mark.parametrize("shape", [(3, 20, 4), (3, 20, 3), (1, 20, 3), (1, 4, 20, 1)])
def test_a_shape_that_may_be_both_layouts_is_refused_unless_it_is_said_which(shape):
    array = RNG.random(shape)
    given = str(shape).replace("(", r"\(").replace(")", r"\)")
    with pytest.raises(PictureError, match=rf"^got an array of shape {given}, which may be .*; say which: .*'HWC'"):
        Picture.from_array(array)
    squeezed = array.reshape(shape[-3:])
    for layout, (height, width) in {"HWC": squeezed.shape[:2], "CHW": squeezed.shape[1:]}.items():
        picture = Picture.from_array(array, layout=layout)
        assert (picture.height, picture.width) == (height, width)
    with pytest.raises(PictureError, match="layout: got 'HCW'; give 'HWC' or 'CHW'"):
        Picture.from_array(array, layout="HCW")


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((5, 6, 7)), r"got an array of shape (5, 6, 7), 7 channels; give (H, W), (H, W, C) or (C, H, W)"),
        (np.zeros((20, 30, 2)), "(20, 30, 2), 2 channels; give "),
        (np.zeros((2, 20, 30, 3)), "got an array of shape (2, 20, 30, 3), 2 images; give them one at a time: array[0]"),
        (np.zeros((0, 20, 30, 3)), "(0, 20, 30, 3), 0 images"),
        (np.zeros(7), "got an array of shape (7,); give "),
        (np.zeros((1, 1, 1, 20, 30)), "got an array of shape (1, 1, 1, 20, 30); give "),
        (np.zeros((0, 30, 3)), "got an array of shape (0, 30, 3); give "),
        (np.zeros((20, 30, 3), np.int64), "got an array of int64; give uint8, uint16, bool, or floating point"),
        (np.zeros((20, 30, 3), complex), "got an array of complex128; give "),
        (np.array([["a"]]), "got an array of <U1; give "),
        (torch.zeros(20, 30, 3, dtype=torch.int32), "got an array of int32; give "),
        (255 * np.ones((20, 30, 3)), "in [0, 1]; got values from 255 to 255; scale or clamp them"),
        (np.full((20, 30, 3), -1.0), "got values from -1 to -1"),
        (np.full((20, 30, 3), np.nan), "got values from nan to nan"),
        (np.full((20, 30, 4), 1.5), "got values from 1.5 to 1.5"),
        ([[0.5]], "got list; give a NumPy array or a tensor"),
    ],
)
def test_other_arrays_are_refused_with_what_was_given(array, message):
    with pytest.raises(PictureError) as caught:
        Picture.from_array(array)
    assert message in str(caught.value)
    assert str(caught.value).isprintable()
    if not isinstance(array, list):
        with pytest.raises(PictureError, match=r"^content: "):
            as_picture(array, "content")


def test_rounding_errors_outside_of_0_and_1_are_clamped():
    exact = torch.linspace(0, 1, 60).view(1, 6, 10).expand(3, -1, -1)
    step = torch.finfo(torch.float16).eps  # the largest float16 error next to 1
    for noise in (1e-6, 1e-4, step):
        noisy = exact * (1 + 2 * noise) - noise
        for picture in (Picture(noisy), Picture.from_array(noisy), Picture(exact, noisy[:1])):
            assert 0 <= float(picture.tensor.min()) <= float(picture.tensor.max()) <= 1
        assert torch.allclose(Picture(noisy).tensor, exact, atol=noise)
    assert float(noisy.min()) < 0  # the caller's own tensor is left as it is
    for far in (1.5 * step, 1.0):
        with pytest.raises(PictureError, match="got values from"):
            Picture(exact * (1 + 2 * far) - far)


def test_to_array_gives_the_pixels_of_the_saved_file(tmp_path):
    image, alpha = torch.rand(3, 20, 30), torch.rand(1, 20, 30)
    for rounding in (Quantization(8), Quantization(8, dither=True), Quantization(16)):
        for picture in (Picture(image, rounding=rounding), Picture(image, alpha, rounding=rounding)):
            picture.save(tmp_path / "a.png", depth=8)
            with Image.open(tmp_path / "a.png") as saved:
                assert np.array_equal(picture.to_array(), np.asarray(saved))
                assert np.array_equal(picture.to_pil(), np.asarray(saved))
                assert picture.to_pil().mode == saved.mode
    deep = Picture(image).to_array("uint16")
    assert np.array_equal(deep, np.rint(image.permute(1, 2, 0).numpy() * np.float32(65535)).astype(np.uint16))
    assert np.array_equal(Picture(image).to_array("float32"), image.permute(1, 2, 0).numpy())
    for kind in ("uint8", "uint16", "float32"):
        for dtype in (np.dtype(kind), getattr(np, kind)):
            assert np.array_equal(Picture(image).to_array(dtype), Picture(image).to_array(kind))
    assert Picture(image, alpha).to_array("float32").shape == (20, 30, 4)
    with pytest.raises(SettingError, match="dtype: got int8; give uint8, uint16 or float32"):
        Picture(image).to_array("int8")


def test_numpy_converts_a_picture():
    picture = Picture.from_array(RGB)
    assert np.array_equal(np.asarray(picture), RGB)
    assert np.asarray(picture).dtype == np.uint8
    floats = np.array(picture, dtype=np.float32)
    assert floats.dtype == np.float32
    assert np.array_equal(floats, RGB)
    assert np.array_equal(Image.fromarray(np.asarray(picture)), RGB)
    with pytest.raises(ValueError, match="its array is a copy"):
        picture.__array__(copy=False)


def test_a_picture_is_shown_in_a_line():
    assert repr(Picture.from_array(RGB, name="a.png")) == "Picture('a.png', 30x20 pixels)"


def test_notebooks_display_a_picture_downscaled():
    small = Picture.from_array(RGBA)
    with Image.open(io.BytesIO(small._repr_png_())) as shown:
        assert np.array_equal(shown, RGBA)
    wide = Picture(torch.rand(3, 20, 2 * DISPLAY_EDGE))
    with Image.open(io.BytesIO(wide._repr_png_())) as shown:
        assert shown.size == (DISPLAY_EDGE, 10)


# -- images of Pillow --


def images():
    """Images of Pillow of every mode."""
    rgb, rgba = Image.fromarray(RGB), Image.fromarray(RGBA)
    modes = {mode: rgb.convert(mode) for mode in ("1", "L", "P", "RGB", "CMYK", "YCbCr", "HSV", "LAB")}
    modes |= {mode: rgba.convert(mode) for mode in ("LA", "RGBA", "RGBa", "PA")}
    deep = RNG.integers(0, 65536, (20, 30), dtype=np.uint16)
    modes |= {"I;16": Image.fromarray(deep), "I": Image.fromarray(deep.astype(np.int32))}
    return modes | {"F": Image.fromarray(deep.astype(np.float32) / 65535)}


@pytest.mark.parametrize("mode", images())
def test_an_image_of_pillow_in_any_mode(mode):
    image = images()[mode]
    assert image.mode == mode
    picture = Picture.from_pil(image, name="a")
    if mode in ("I;16", "I", "F"):
        levels = np.asarray(image).astype(np.float64) / (1 if mode == "F" else 65535)
        assert np.allclose(picture.tensor.numpy(), levels[None], atol=1e-7)
    else:
        has_alpha = mode in ("LA", "RGBA", "RGBa", "PA")
        assert np.array_equal(picture.to_array(), image.convert("RGBA" if has_alpha else "RGB"))
    assert (picture.name, picture.sha256) == ("a", "")
    assert np.array_equal(as_picture(image, "content").to_array(), picture.to_array())


def test_an_image_of_pillow_is_read_as_its_file_is(tmp_path):
    turned = Image.fromarray(RGB)
    exif = Image.Exif()
    for orientation in range(1, 9):
        exif[0x0112] = orientation
        path = tmp_path / f"{orientation}.png"
        turned.save(path, exif=exif)
        with Image.open(path) as image:
            before = image.copy()
            assert torch.equal(Picture.from_pil(image).tensor, load(path).tensor)
            assert np.array_equal(Picture.from_pil(image).to_array(), ImageOps.exif_transpose(image))
            assert np.array_equal(image, before)  # the caller's image is left as it is
            assert torch.equal(Picture.from_pil(ImageOps.exif_transpose(image)).tensor, load(path).tensor)


@pytest.mark.parametrize("name", ["palette.png", "key.png", "gray.tif", "a.jpg", "a.webp", "turned.tif"])
def test_the_same_for_files_of_other_formats(name, tmp_path):
    image, path = Image.fromarray(RGB), tmp_path / name
    exif = Image.Exif()
    exif[0x0112] = 6
    if name == "palette.png":
        image.quantize(16).save(path, transparency=3)
    elif name == "key.png":
        image.save(path, transparency=tuple(map(int, RGB[3, 4])))
    elif name == "gray.tif":
        Image.fromarray(RGB[..., 0].astype(np.uint16) * 257).save(path)
    else:
        image.save(path, exif=exif)
    from_file = load(path)
    with Image.open(path) as opened:
        picture = Picture.from_pil(opened)
    assert torch.equal(picture.tensor, from_file.tensor)
    assert (picture.alpha is None) == (from_file.alpha is None)
    assert picture.alpha is None or torch.equal(picture.alpha, from_file.alpha)
    assert picture.notes == from_file.notes


def test_the_color_profile_of_an_image_of_pillow_is_applied(tmp_path):
    lab = ImageCms.createProfile("LAB")
    wrong = ImageCms.ImageCmsProfile(lab).tobytes()
    adobe = load_adobe()
    for profile, words in ((adobe, "colors converted from"), (wrong, "for another color space: ignored")):
        Image.fromarray(RGB).save(tmp_path / "a.png", icc_profile=profile)
        with Image.open(tmp_path / "a.png") as image:
            picture = Picture.from_pil(image)
        assert torch.equal(picture.tensor, load(tmp_path / "a.png").tensor)
        assert words in picture.notes[0]


@pytest.mark.parametrize(
    "chunks", [{"gAMA": [100_000]}, {"gAMA": [45_455]}, {"cHRM": P3}, {"gAMA": [55_556], "cHRM": P3}]
)
def test_the_gamma_and_the_primaries_of_a_png_are_applied(chunks):
    info, opened = PngInfo(), {}
    for name, values in chunks.items():
        info.add(name.encode(), struct.pack(f">{len(values)}I", *values))
    for profile in (None, load_adobe()):
        data = file_of(Image.fromarray(RGB), pnginfo=info, icc_profile=profile).getvalue()
        with Image.open(io.BytesIO(data)) as image:
            picture = Picture.from_pil(image)
            opened[profile] = picture
        assert torch.equal(picture.tensor, load(data).tensor)
        assert picture.notes == load(data).notes
    assert not torch.equal(opened[None].tensor, opened[load_adobe()].tensor)


def load_adobe():
    """The profile of Adobe RGB."""
    from impasto.images.decoding import cicp
    from impasto.images.decoding.icc import matrix_profile

    return matrix_profile("Adobe RGB", cicp.ADOBE_RGB, cicp.ADOBE_RGB_GAMMA)


def test_images_of_pillow_that_cannot_be_used_are_refused(tmp_path):
    with pytest.raises(PictureError, match=r"^image: has values from 0 to 70000; scale them"):
        Picture.from_pil(Image.fromarray(np.array([[0, 70000]], np.int32)))
    with pytest.raises(PictureError, match=r"^keep: has values from -3 to 0; scale them"):
        as_picture(Image.fromarray(np.array([[0, -3]], np.float32)), "keep")
    assert float(Picture.from_pil(Image.fromarray(np.array([[0, 1.0001]], np.float32))).tensor.max()) == 1
    with pytest.raises(PictureError, match=r"^image: got ndarray; give an image of Pillow"):
        Picture.from_pil(RGB)
    cut = file_of(Image.fromarray(RGB)).getvalue()[:-800]
    with Image.open(io.BytesIO(cut)) as image, pytest.raises(PictureError, match=r"^style: is truncated or damaged"):
        as_picture(image, "style")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert as_picture(Image.new("P", (4, 4)), "content").width == 4


# -- files that are open, and their contents --


def test_load_reads_bytes_and_open_files(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(RGB).save(path)
    expected = load(path)
    data = path.read_bytes()
    file = io.BytesIO(data)
    file.seek(0, io.SEEK_END)  # as it is after a file was written to it
    pipe = io.BufferedReader(Pipe(data))
    for source in (data, bytearray(data), memoryview(data), file, pipe):
        picture = load(source)
        assert torch.equal(picture.tensor, expected.tensor)
        assert (picture.sha256, picture.name) == (expected.sha256, "")
    with path.open("rb") as opened:
        assert load(opened).name == "a.png"
        assert load(opened, name="b.png").name == "b.png"
        assert np.array_equal(as_picture(opened, "content").to_array(), RGB)


class Pipe(io.RawIOBase):
    """A file that is not seekable, as a pipe or the response of a server."""

    def __init__(self, data: bytes) -> None:
        self._rest = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:  # type: ignore[no-untyped-def]
        return self._rest.readinto(buffer)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (b"", "is empty (0 bytes)"),
        (b"a.png", "is text; give a PNG, JPEG"),
        (io.BytesIO(), "is empty (0 bytes)"),
        (io.BytesIO(b"<svg>"), "is an SVG drawing"),
        (io.StringIO("a.png"), "is a file that is open as text; open it in the mode 'rb'"),
        (file_of(Image.fromarray(RGB)).getvalue()[:-800], "is truncated or damaged"),
    ],
)
def test_bytes_and_files_that_are_no_images_are_refused(source, message):
    for role, call in {"image": load, "content": lambda it: as_picture(it, "content")}.items():
        with pytest.raises(PictureError) as caught:
            call(source)
        assert str(caught.value).startswith(f"{role}: {message}")


def test_a_closed_file_and_a_write_only_one_are_refused(tmp_path):
    closed = io.BytesIO(b"data")
    closed.close()
    with pytest.raises(PictureError, match=r"^image: cannot be read \(I/O operation on closed file"):
        load(closed)
    with (tmp_path / "a.png").open("wb") as write_only, pytest.raises(PictureError, match=r"a\.png: cannot be read"):
        load(write_only)


def test_save_writes_to_an_open_file(tmp_path):
    picture = Picture(torch.rand(3, 20, 30), recipe={"a": 1})
    file = io.BytesIO()
    picture.save(file, depth=16)
    picture.save(tmp_path / "a.png", depth=16)
    assert file.getvalue() == (tmp_path / "a.png").read_bytes()
    assert torch.equal(load(file).tensor, load(tmp_path / "a.png").tensor)


def test_load_recipe_takes_any_image(results_with_recipe: Path):
    data = results_with_recipe.read_bytes()
    recipe = load_recipe(results_with_recipe)
    assert recipe.steps_done == 0
    picture = Picture(torch.zeros(3, 2, 2), recipe=recipe.model_dump(mode="json"))
    with Image.open(results_with_recipe) as image:
        for source in (data, io.BytesIO(data), image, picture):
            assert load_recipe(source) == recipe
        changed = image.rotate(90)
    for source in (RGB, torch.zeros(3, 8, 9), Picture(torch.zeros(3, 2, 2)), changed, Image.fromarray(RGB)):
        with pytest.raises(RecipeError, match="image: holds no recipe"):
            load_recipe(source)


@pytest.fixture
def results_with_recipe(tmp_path: Path) -> Path:
    from impasto.images.recipe import Recipe, environment
    from impasto.settings.model import Settings

    recipe = Recipe(
        **environment(),
        task="stylize",
        settings=Settings(method="fast"),
        steps_done=0,
        content=None,
        styles=(),
        init=None,
        weights="",
        device="cpu",
        precision="float32",
        loss={},
    )
    Picture(torch.rand(3, 8, 9), recipe=recipe.model_dump(mode="json")).save(tmp_path / "r.png")
    return tmp_path / "r.png"


def test_recolor_keeps_the_recipe_of_a_file_that_can_be_read_once(results_with_recipe: Path):
    data = results_with_recipe.read_bytes()
    expected = impasto.recolor(results_with_recipe, RGB)
    assert expected.recipe is not None
    for source in (data, io.BytesIO(data), io.BufferedReader(Pipe(data))):
        picture = impasto.recolor(source, RGB)
        assert torch.equal(picture.tensor, expected.tensor)
        assert load_recipe(picture).steps_done == 0
        assert [each.image.sha256 for each in load_recipe(picture).recolored] == [load(data).sha256]
