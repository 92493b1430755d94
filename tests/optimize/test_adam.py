import pytest
import torch
from problems import SHAPE, SIZE, evaluation, minimize, quadratic, uniform

from impasto.optimize.adam import Adam, IterateAverage
from impasto.vgg.backward import gather_gradient


@pytest.mark.parametrize("epsilon", [1e-8, 0.1])
def test_adam_equals_torch_adam_where_nothing_is_clipped(epsilon: float) -> None:
    loss, _, _ = quadratic(0, low=0.4, high=0.6)
    start = 0.3 + 0.4 * uniform(2)
    mine = Adam(start, learning_rate=0.005, betas=(0.8, 0.95), epsilon=epsilon)
    theirs = start.clone().requires_grad_()
    reference = torch.optim.Adam([theirs], lr=0.005, betas=(0.8, 0.95), eps=epsilon)
    for _ in range(20):
        mine.step(evaluation(loss))
        reference.zero_grad()
        loss(theirs).backward()
        reference.step()
        torch.testing.assert_close(mine.image, theirs.detach(), rtol=1e-12, atol=1e-12)
    assert 0 < float(mine.image.min()) < float(mine.image.max()) < 1
    assert float((mine.image - start).abs().max()) > 0.03


def test_keras_adam_adds_epsilon_before_the_bias_correction() -> None:
    loss, _, _ = quadratic(0, low=0.4, high=0.6)
    x = 0.3 + 0.4 * uniform(2)
    mine = Adam(x, learning_rate=0.02, betas=(0.99, 0.999), epsilon=0.1, epsilon_hat=True)
    m, v = torch.zeros_like(x), torch.zeros_like(x)
    for t in range(1, 21):
        g = gather_gradient(evaluation(loss)(x)[1], x)
        m = 0.99 * m + 0.01 * g
        v = 0.999 * v + 0.001 * g**2
        x = x - 0.02 * (1 - 0.999**t) ** 0.5 / (1 - 0.99**t) * m / (v.sqrt() + 0.1)
        mine.step(evaluation(loss))
        torch.testing.assert_close(mine.image, x, rtol=1e-12, atol=1e-12)
    plain = Adam(0.3 + 0.4 * uniform(2), learning_rate=0.02, betas=(0.99, 0.999), epsilon=0.1)
    minimize(plain, loss, 20)
    assert float((plain.image - x).abs().max()) > 1e-3  # a different algorithm


@pytest.mark.parametrize("rate", [0.01, 0.5, 10])
def test_adam_stays_within_bounds_and_reaches_them(rate: float) -> None:
    adam = Adam(uniform(2), learning_rate=rate)
    minimize(adam, lambda x: (x - torch.linspace(-2, 3, SIZE, dtype=x.dtype).view(SHAPE)).square().sum(), 150)
    assert float(adam.image.flatten()[0]) == 0
    assert float(adam.image.flatten()[-1]) == 1


# -- the average of iterates --


@pytest.mark.parametrize("decay", [0.5, 0.9, 0.95])
def test_the_average_is_polynomial_at_first_and_exponential_later(decay: float) -> None:
    average, images = IterateAverage(decay), [uniform(seed) for seed in range(100)]
    weights: list[float] = []
    for count, image in enumerate(images, start=1):
        average.update(image)
        weight = max(4 / (count + 3), 1 - decay)
        weights = [w * (1 - weight) for w in weights] + [weight]
    assert sum(weights) == pytest.approx(1)
    assert weights[-1] / weights[-2] == pytest.approx(1 / decay)
    torch.testing.assert_close(average.value, sum(w * p for w, p in zip(weights, images, strict=True)))


def test_the_average_of_a_short_run_is_dominated_by_its_end() -> None:
    average = IterateAverage(0.95)
    for number in range(25):
        average.update(torch.full(SHAPE, number / 24))
    assert float(average.value.mean()) > 0.8


def test_the_average_without_decay_is_the_last_image() -> None:
    average = IterateAverage(0)
    for seed in range(4):
        average.update(uniform(seed))
        assert torch.equal(average.value, uniform(seed))


def test_the_average_does_not_modify_its_inputs() -> None:
    average, images = IterateAverage(0.5), [uniform(0), uniform(1)]
    for image in images:
        average.update(image)
    assert [torch.equal(image, uniform(seed)) for seed, image in enumerate(images)] == [True, True]
