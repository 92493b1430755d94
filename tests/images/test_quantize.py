"""Quantization to 8 or 16 bits, with and without dithering."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from impasto import Picture
from impasto.errors import SettingError
from impasto.images import bands
from impasto.images.quantize import NEAREST, Quantization

DITHERED = Quantization(dither=True)


def plain(value: float, size: int = 64) -> np.ndarray:
    return np.full((3, size, size), value / 255, np.float32)


@given(st.floats(0, 255))
@settings(max_examples=200)
def test_the_mean_of_a_dithered_plain_image_is_its_value(value):
    assert float(DITHERED.quantize(plain(value)).mean()) == pytest.approx(value, abs=0.02)


def test_the_mean_of_100_3_is_100_3_in_every_small_window():
    levels = DITHERED.quantize(plain(100.3))[0]
    assert float(levels.mean()) == pytest.approx(100.3, abs=0.02)
    windows = np.lib.stride_tricks.sliding_window_view(levels, (8, 8)).mean((2, 3))
    assert np.abs(windows - 100.3).max() < 0.05  # noise would be off by 0.2 in some of them


def test_dithering_rounds_down_or_up_and_keeps_representable_values():
    ramp = np.linspace(0, 1, 200 * 200, dtype=np.float32).reshape(1, 200, 200)
    levels = DITHERED.quantize(ramp)
    assert np.abs(levels - ramp * 255.0).max() < 1
    exact = np.broadcast_to(np.arange(256, dtype=np.float32)[:, None, None] / 255, (256, 64, 64))
    assert np.array_equal(DITHERED.quantize(exact), NEAREST.quantize(exact))


def test_dithering_is_the_same_in_all_channels_and_every_time():
    gray = np.broadcast_to(np.random.default_rng(0).random((1, 40, 50), np.float32), (3, 40, 50))
    once, again = DITHERED.quantize(gray), DITHERED.quantize(gray)
    assert np.array_equal(once, again)
    assert (once == once[:1]).all()


def test_dithering_noise_is_blue():
    """Little of its power is at low frequencies, where the eye would see it."""
    levels = DITHERED.quantize(plain(100.5, 128))[0].astype(float)
    power = np.abs(np.fft.fft2(levels - levels.mean())) ** 2
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(128), np.fft.fftfreq(128)))
    assert power[frequency < 0.1].sum() < 0.002 * power.sum()  # of white noise 0.031


@pytest.mark.parametrize("quantization", [NEAREST, DITHERED, Quantization(16), Quantization(16, dither=True)])
@pytest.mark.parametrize("band", [7, 33, 2**18])
def test_round_trip_does_not_depend_on_the_bands(quantization, band, monkeypatch):
    tensor = torch.rand(3, 9, 11)
    whole = torch.from_numpy(quantization.quantize(tensor.numpy()).astype(np.float32)) / quantization.peak
    monkeypatch.setattr(bands, "_BAND_PIXELS", band)
    assert torch.equal(quantization.round_trip(tensor), whole)
    assert torch.equal(quantization.round_trip(tensor[1:2]), whole[1:2])  # one channel alone
    assert torch.equal(quantization.round_trip(quantization.round_trip(tensor)), whole)


def test_16_bits_need_no_dither():
    values = np.random.default_rng(0).random((1, 20, 20), np.float32)
    deep = Quantization(16, dither=True).quantize(values)
    assert deep.dtype == np.uint16
    assert np.array_equal(deep, np.rint(values * np.float32(65535)))


@pytest.mark.parametrize("depth", [0, 1, 12, 32])
def test_another_depth_is_refused(depth, tmp_path):
    with pytest.raises(SettingError, match=f"depth: got {depth}; give 8 or 16"):
        Quantization(depth)
    with pytest.raises(SettingError, match=f"depth: got {depth}"):
        Picture(torch.rand(3, 2, 2)).save(tmp_path / "a.png", depth=depth)
    assert list(tmp_path.iterdir()) == []
