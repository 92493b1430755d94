import dataclasses

import pytest

from impasto.errors import SettingError
from impasto.optimize.memory_plan import STRIPS, Needs, Stage
from impasto.settings.layers import WIDTHS
from impasto.settings.model import Settings
from impasto.settings.schedule import Scale
from impasto.vgg.model import VGG19

GIB = 2**30


@pytest.fixture(scope="module")
def needs() -> Needs:
    """What a run of the real network's widths needs."""
    settings = Settings()
    wanted = (*settings.content_layers, *settings.style_layers)
    return Needs(VGG19.random(WIDTHS), settings, wanted, held=0)


def stage(edge: int, steps: int = 20) -> Stage:
    frame = edge * 3 // 4, edge
    return Stage(Scale(edge, steps, 1), frame, (frame,))


def test_a_picture_that_fits_is_evaluated_whole(needs: Needs) -> None:
    assert needs.within(stage(512), 4 * GIB).strip is None


@pytest.mark.parametrize("strip", [None, 512, 64, 16])
def test_strips_are_as_high_as_the_memory_allows(needs: Needs, strip: int | None) -> None:
    enough = needs.in_strips(stage(4096), strip).memory
    assert needs.within(stage(4096), enough).strip == strip
    if strip != STRIPS[-1]:
        lower = needs.within(stage(4096), enough - 1)
        assert lower.strip is not None
        assert lower.strip < (strip or 3072)
        assert lower.memory < enough


def test_what_does_not_fit_is_refused_with_what_would_do(needs: Needs) -> None:
    with pytest.raises(SettingError, match=r"memory: 8192x6144 pixels need \d+\.\d GB, got 1\.1 GB; give a smaller"):
        needs.within(stage(8192), GIB)


def test_a_painting_looked_at_larger_counts(needs: Needs) -> None:
    large = dataclasses.replace(stage(512), styles=((3072, 4096),))
    assert needs.in_strips(large, None).memory > 4 * needs.in_strips(stage(512), None).memory


def test_strips_cost_half_as_much_work_again(needs: Needs) -> None:
    whole, strips = (needs.in_strips(stage(2048), strip) for strip in (None, 128))
    assert strips.multiplications == 1.5 * whole.multiplications
    assert needs.in_strips(stage(512), 4000) == needs.in_strips(stage(512), None)


def test_what_is_evaluated_grows_with_the_width_of_a_picture_in_strips_not_with_its_height(needs: Needs) -> None:
    frames = {name: needs._responses(frame, 64) for name, frame in FRAMES.items()}
    assert frames["high"] == pytest.approx(frames["square"], rel=0.01)
    assert frames["wide"] == pytest.approx(4 * frames["square"], rel=0.01)


FRAMES = {"square": (2048, 2048), "high": (8192, 2048), "wide": (2048, 8192)}


def test_the_plan_of_a_run_comes_to_its_seconds_at_its_pace(needs: Needs) -> None:
    one, many = (needs.in_strips(stage(512, steps), None) for steps in (1, 10))
    assert many.seconds(1e-12) == pytest.approx(10 * one.seconds(1e-12))
