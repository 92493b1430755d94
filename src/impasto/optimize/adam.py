"""Adam with box constraints, and the average of its iterates."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from impasto.images.resize import enlarge
from impasto.loss.objective import Terms
from impasto.optimize.optimizer import Evaluate, State


class Adam:
    """Adam (Kingma & Ba 2015, arXiv 1412.6980), with the image clipped to [0, 1] after every step.

    With g the gradient at step t = 1, 2, ... (algorithm 1 of the paper):

        m = beta1 m + (1 - beta1) g                first moment
        v = beta2 v + (1 - beta2) g^2              second moment
        x = x - learning_rate (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon)

    Keras uses the reordered form from the end of the paper's section 2, in which "epsilon hat" is added to the
    uncorrected root:

        x = x - learning_rate sqrt(1 - beta2^t) / (1 - beta1^t) m / (sqrt(v) + epsilon_hat)

    This is algorithm 1 with epsilon = epsilon_hat / sqrt(1 - beta2^t): the same for a tiny epsilon, another algorithm
    for a large one. Keras' 0.1 with beta2 = 0.999 acts as 3.16 at the first step and falls to 0.1 with t.

    Args:
        image: (1, 3, H, W) float in [0, 1]; never modified.
        betas: beta1 and beta2.
        epsilon_hat: whether `epsilon` is Keras' epsilon hat.
        moments_dtype: dtype that the moments are stored in, that of the image by default; bfloat16 halves their memory.
    """

    stalled = False

    def __init__(
        self,
        image: Tensor,
        *,
        learning_rate: float,
        betas: tuple[float, float] = (0.9, 0.999),
        epsilon: float = 1e-8,
        epsilon_hat: bool = False,
        moments_dtype: torch.dtype | None = None,
    ) -> None:
        self.image = image
        self.learning_rate, (self.beta1, self.beta2) = learning_rate, betas
        self.epsilon, self.epsilon_hat = epsilon, epsilon_hat
        self.first_moment, self.second_moment = (torch.zeros_like(image, dtype=moments_dtype) for _ in range(2))
        self.steps = 0

    def step(self, evaluate: Evaluate) -> Terms:
        """One evaluation, one update."""
        terms, gradient_rows = evaluate(self.image)
        self.steps += 1
        # One color channel at a time: temporaries take a third of the memory. The moments take in the gradient band by
        # band, so that the gradient of the whole image need not exist at once.
        for rows, gradient in gradient_rows:
            for channel in range(3):
                self._update_moments(channel, rows, gradient[0, channel])
        image = torch.empty_like(self.image)
        for channel in range(3):
            self._update_image(channel, out=image[0, channel])
        self.image = image
        return terms

    def _update_moments(self, channel: int, rows: slice, gradient: Tensor) -> None:
        """Blend the gradient (rows, W) of one channel into the moments; computed in its dtype, stored in theirs."""
        first, second = self.first_moment[0, channel, rows], self.second_moment[0, channel, rows]
        first.copy_(first.to(gradient.dtype).lerp_(gradient, 1 - self.beta1))
        decayed = second.to(gradient.dtype).mul_(self.beta2)
        second.copy_(decayed.addcmul_(gradient, gradient, value=1 - self.beta2))

    def _update_image(self, channel: int, out: Tensor) -> None:
        """Write the next iterate of one channel to `out` (H, W)."""
        image, first, second = (each[0, channel] for each in (self.image, self.first_moment, self.second_moment))
        # The bias corrections are scalars, so they go into the rate. Algorithm 1 divides numerator and denominator by
        # sqrt(1 - beta2^t) in this form: its epsilon is multiplied by that root, epsilon hat is not.
        bias1, root_bias2 = 1 - self.beta1**self.steps, (1 - self.beta2**self.steps) ** 0.5
        epsilon = self.epsilon if self.epsilon_hat else self.epsilon * root_bias2
        rate = self.learning_rate * root_bias2 / bias1
        denominator = second.to(image.dtype).sqrt().add_(epsilon)
        torch.addcdiv(image, first.to(image.dtype), denominator, value=-rate, out=out).clamp_(0, 1)

    def continue_from(self, coarser: "Adam") -> None:
        """Take over the moments of the run at a coarser scale, resized and rescaled to this image's size.

        The loss is a mean over positions, so a pixel's share in it, and with it its gradient, falls as 1 / (H W). The
        first moment scales with the gradient, the second with its square. A fresh Adam would move every pixel by the
        whole learning rate in its first step, as m / sqrt(v) is then the gradient's sign.
        """
        height, width = self.image.shape[2:]
        ratio = coarser.image.numel() / self.image.numel()
        self.first_moment = enlarge(coarser.first_moment, height, width).mul_(ratio).to(self.first_moment.dtype)
        self.second_moment = enlarge(coarser.second_moment, height, width).mul_(ratio**2).to(self.second_moment.dtype)
        # t continues, too: the moments are no longer biased towards their initial zeros
        self.steps = coarser.steps

    def state(self) -> State:
        """The image and the moments; t and the learning rate."""
        tensors = {"image": self.image, "first_moment": self.first_moment, "second_moment": self.second_moment}
        return tensors, {"steps": self.steps, "learning_rate": self.learning_rate}

    def restore(self, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> None:
        """Continue from a state."""
        self.image = tensors["image"]
        self.first_moment, self.second_moment = tensors["first_moment"], tensors["second_moment"]
        self.steps, self.learning_rate = numbers["steps"], numbers["learning_rate"]


class IterateAverage:
    """The running average of a sequence of images, which evens out Adam's jitter around the minimum.

    The n-th image x enters as average = (1 - w) average + w x with w = max(1 - decay, (1 + ETA) / (n + ETA)).
    At first this is polynomial-decay averaging (Shamir & Zhang 2013, arXiv 1212.1824, section 4): the weight of image k
    grows like k^ETA, so early images, still far from the minimum, soon stop to count. Once (1 + ETA) / (n + ETA) falls
    below 1 - decay, it is an exponential average over about the last 1 / (1 - decay) images.

    Args:
        decay: 0 keeps only the last image; 0.95 averages about the last twenty.
    """

    # Shamir & Zhang's small eta. 0 would be the plain mean of all images. With 3, the last third of a short run has
    # 1 - (2/3)^4 = 80 % of the weight.
    ETA = 3

    def __init__(self, decay: float) -> None:
        self.decay, self.count = decay, 0
        self._value: Tensor | None = None

    def update(self, image: Tensor) -> None:
        """Include one more image."""
        self.count += 1
        weight = max(1 - self.decay, (1 + self.ETA) / (self.count + self.ETA))
        self._value = image if self._value is None or weight == 1 else self._value.lerp(image, weight)

    def state(self) -> State:
        """The average, if any, and the number of images in it."""
        return {} if self._value is None else {"value": self._value}, {"count": self.count}

    def restore(self, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> None:
        """Continue from a state."""
        self._value, self.count = tensors.get("value"), numbers["count"]

    @property
    def value(self) -> Tensor:
        """The average of the images so far, (1, 3, H, W); there must be at least one."""
        assert self._value is not None
        return self._value
