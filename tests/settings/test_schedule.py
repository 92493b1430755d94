import pytest
from hypothesis import given
from hypothesis import strategies as st

from impasto.errors import SettingError
from impasto.settings.model import Settings
from impasto.settings.schedule import Scale, scales


def edges(**changes: object) -> list[int]:
    return [scale.edge for scale in scales(Settings(**changes))]


def test_scales_grow_from_the_first_to_the_size() -> None:
    assert edges(size=1024) == [128, 256, 512, 1024]
    assert edges(size=512, scale_factor=2**0.5) == [128, 181, 256, 362, 512]
    assert edges(size=600, first_scale=100, scale_factor=3) == [100, 300, 600]


def test_a_scale_close_to_the_size_is_left_out() -> None:
    assert edges(size=530) == [128, 256, 530]
    assert edges(size=150) == [150]
    assert edges(size=1023) == [128, 256, 512, 1023]


def test_no_scale_is_larger_than_the_last_one() -> None:
    assert edges(size=1024, last_scale=384) == edges(size=384) == [128, 256, 384]
    assert edges(size=300, last_scale=384) == edges(size=300)
    assert edges(size=1024, last_scale=384, scale_factor=1) == [384]


@pytest.mark.parametrize(
    "changes", [{"size": 100}, {"size": 512, "first_scale": 512}, {"scale_factor": 1, "size": 4096}]
)
def test_a_run_may_have_one_scale(changes: dict[str, object]) -> None:
    assert edges(**changes) == [changes["size"]]


def test_a_single_scale_uses_the_steps_and_the_weight_of_the_settings() -> None:
    settings = Settings(size=4096, scale_factor=1, steps=1000)
    assert scales(settings) == (Scale(4096, 1000, 1),)
    assert scales(settings.replace(size=128)) == (Scale(128, 1000, 1),)


def test_above_full_steps_scale_there_are_fewer_steps_but_at_least_thirty() -> None:
    settings = Settings(size=8192, steps=150)
    assert [scale.steps for scale in scales(settings)] == [150, 75, 38, 30, 30, 30, 30]
    assert [scale.steps for scale in scales(settings.replace(full_steps_scale=512))] == [150, 150, 150, 75, 38, 30, 30]
    assert [scale.steps for scale in scales(Settings(size=2048, steps=5))] == [5, 5, 5, 5, 5]


def test_the_content_weight_is_higher_below_512_pixels_by_coarse_content() -> None:
    assert [scale.content_factor for scale in scales(Settings(size=1024, coarse_content=9))] == pytest.approx(
        [9, 3, 1, 1]
    )
    assert [scale.content_factor for scale in scales(Settings(size=64, coarse_content=9))] == [9]


@given(
    size=st.integers(16, 9000),
    larger=st.integers(1, 60000),
    factor=st.floats(1.1, 8),
    first=st.integers(16, 1000),
)
def test_the_scales_of_a_small_run_are_the_first_of_a_large_one(
    size: int, larger: int, factor: float, first: int
) -> None:
    small, large = (
        scales(Settings(size=min(edge, 65535), scale_factor=factor, first_scale=first))
        for edge in (size, size + larger)
    )
    assert small[-1].edge == size
    shared = [scale for scale in large if scale.edge < size / factor**0.5]
    assert list(small[:-1])[: len(shared)] == shared[: len(small) - 1]
    found = [scale.edge for scale in large]
    assert found == sorted(set(found))


@pytest.mark.parametrize("factor", [0.5, 1.05, 9])
def test_other_factors_are_refused(factor: float) -> None:
    with pytest.raises(SettingError, match="scale_factor: got"):
        Settings(scale_factor=factor)
