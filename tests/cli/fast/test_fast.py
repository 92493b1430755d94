"""`impasto fast` with one content image."""

import json

import numpy as np
import pytest
from outputs import MACHINE, size

from impasto.feedforward import weights as feedforward_weights

pytestmark = pytest.mark.weights


def test_a_content_image_is_stylized_at_its_own_size(fast, content_image, out, pixels):
    outcome = fast(content_image, "-o", out)
    assert (outcome.status, outcome.out) == (0, "")
    output, saved = outcome.err.splitlines()
    assert output.startswith("photo.png: 40x30 pixels in ")
    assert saved == f"saved {out}"
    assert pixels(out).shape == (30, 40, 3)
    assert np.abs(pixels(out).astype(int) - pixels(content_image)).mean() > 10


def test_quiet_says_nothing(fast, content_image, out):
    outcome = fast(content_image, "-o", out, "-q")
    assert (outcome.status, outcome.out, outcome.err) == (0, "", "")


def test_the_settings_are_those_of_the_flags(fast, content_image, out, read_recipe):
    flags = ["--size", 64, "--strength", 0.75, "--color", "luminance", "--depth", 16, "--dither"]
    assert fast(content_image, "-o", out, *flags).status == 0
    settings = read_recipe()["settings"]
    found = [settings[name] for name in ("method", "size", "strength", "color", "depth", "dither")]
    assert found == ["fast", 64, 0.75, "luminance", 16, True]
    assert size(out) == (64, 48)


def test_a_mixture_has_its_weights(impasto, pair, out, read_recipe, pixels):
    content_image, style_image = pair
    assert impasto("fast", content_image, f"{style_image}=3", f"{content_image}=1", "-o", out, *MACHINE).status == 0
    assert [each["weight"] for each in read_recipe()["styles"]] == [3, 1]
    mixed = pixels(out)
    assert impasto("fast", content_image, style_image, content_image, "-o", out, *MACHINE, "--overwrite").status == 0
    assert not np.array_equal(pixels(out), mixed)


def test_little_memory_changes_no_pixel_by_more_than_a_level(fast, content_image, out, pixels):
    assert fast(content_image, "-o", out, "--size", 100).status == 0
    whole = pixels(out).astype(int)
    assert fast(content_image, "-o", out, "--size", 100, "--memory-limit", "1M", "--overwrite").status == 0
    assert np.abs(pixels(out) - whole).max() <= 1


def test_events_are_lines_of_json(fast, content_image, out):
    outcome = fast(content_image, "-o", out, "--json")
    assert (outcome.status, outcome.err) == (0, "")
    painted, saved = map(json.loads, outcome.out.splitlines())
    assert [painted[name] for name in ("event", "name", "width", "height")] == ["painted", "photo.png", 40, 30]
    assert saved == {"event": "saved", "path": str(out)}


def test_inspect_tells_what_was_done(fast, content_image, style_image, out, read_recipe):
    assert fast(content_image, "-o", out).status == 0
    recipe = read_recipe()
    assert (recipe["task"], recipe["settings"]["method"], recipe["steps_done"]) == ("stylize", "fast", 0)
    assert recipe["weights"] == feedforward_weights.SHA256[feedforward_weights.TRANSFORMER]
    assert [recipe["content"]["name"], *(each["name"] for each in recipe["styles"])] == [
        content_image.name,
        style_image.name,
    ]
