"""Values into whole levels: rounded or dithered, with 8 or 16 bits."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from impasto import Picture
from impasto.errors import SettingError
from impasto.images import samples
from impasto.images.quantize import NEAREST, Rounding

DITHERED = Rounding(dither=True)


def plain(value: float, size: int = 64) -> np.ndarray:
    return np.full((3, size, size), value / 255, np.float32)


@given(st.floats(0, 255))
@settings(max_examples=200)
def test_the_mean_of_a_dithered_plain_is_its_value(value):
    assert float(DITHERED.levels(plain(value)).mean()) == pytest.approx(value, abs=0.02)


def test_the_mean_of_100_3_is_100_3_in_every_small_window():
    levels = DITHERED.levels(plain(100.3))[0]
    assert float(levels.mean()) == pytest.approx(100.3, abs=0.02)
    windows = np.lib.stride_tricks.sliding_window_view(levels, (8, 8)).mean((2, 3))
    assert np.abs(windows - 100.3).max() < 0.05  # noise would be off by 0.2 in some of them


def test_a_dithered_value_is_the_level_below_or_above_and_a_level_is_what_it_was():
    ramp = np.linspace(0, 1, 200 * 200, dtype=np.float32).reshape(1, 200, 200)
    levels = DITHERED.levels(ramp)
    assert np.abs(levels - ramp * 255.0).max() < 1
    exact = np.broadcast_to(np.arange(256, dtype=np.float32)[:, None, None] / 255, (256, 64, 64))
    assert np.array_equal(DITHERED.levels(exact), NEAREST.levels(exact))


def test_the_same_value_is_the_same_in_all_channels_and_at_every_time():
    gray = np.broadcast_to(np.random.default_rng(0).random((1, 40, 50), np.float32), (3, 40, 50))
    once, again = DITHERED.levels(gray), DITHERED.levels(gray)
    assert np.array_equal(once, again)
    assert (once == once[:1]).all()


def test_neighbors_of_a_dithered_plain_differ_more_than_those_far_from_each_other():
    """Noise of high frequency is what the eye does not see: of its power little lies at low ones."""
    levels = DITHERED.levels(plain(100.5, 128))[0].astype(float)
    power = np.abs(np.fft.fft2(levels - levels.mean())) ** 2
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(128), np.fft.fftfreq(128)))
    assert power[frequency < 0.1].sum() < 0.002 * power.sum()  # of white noise 0.031


@pytest.mark.parametrize("rounding", [NEAREST, DITHERED, Rounding(16), Rounding(16, dither=True)])
@pytest.mark.parametrize("band", [7, 33, 2**18])
def test_rounded_is_levels_whatever_the_bands(rounding, band, monkeypatch):
    tensor = torch.rand(3, 9, 11)
    whole = torch.from_numpy(rounding.levels(tensor.numpy()).astype(np.float32)) / rounding.peak
    monkeypatch.setattr(samples, "_BAND", band)
    assert torch.equal(rounding.rounded(tensor), whole)
    assert torch.equal(rounding.rounded(tensor[1:2]), whole[1:2])  # one color alone
    assert torch.equal(rounding.rounded(rounding.rounded(tensor)), whole)


def test_16_bits_need_no_dither():
    values = np.random.default_rng(0).random((1, 20, 20), np.float32)
    deep = Rounding(16, dither=True).levels(values)
    assert deep.dtype == np.uint16
    assert np.array_equal(deep, np.rint(values * np.float32(65535)))


@pytest.mark.parametrize("depth", [0, 1, 12, 32])
def test_another_depth_is_refused(depth, tmp_path):
    with pytest.raises(SettingError, match=f"depth: got {depth}; give 8 or 16"):
        Rounding(depth)
    with pytest.raises(SettingError, match=f"depth: got {depth}"):
        Picture(torch.rand(3, 2, 2)).save(tmp_path / "a.png", depth=depth)
    assert list(tmp_path.iterdir()) == []
