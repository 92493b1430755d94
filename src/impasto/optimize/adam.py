"""Adam with box constraints, and the average of its iterates."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from impasto.images.resize import enlarge
from impasto.loss.objective import Terms
from impasto.optimize.optimizer import Evaluate, State
from impasto.vgg import device as devices


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
        image: (1, 3, H, W) float in [0, 1], the initial image; it is copied.
        betas: beta1 and beta2.
        epsilon_hat: whether `epsilon` is Keras' epsilon hat.
        moments_dtype: dtype that the moments are stored in, that of the image by default; bfloat16 halves their memory.

    Attributes:
        image: the current iterate, modified in place.
        steps: t, the number of steps taken, a scalar on the device: a step on a GPU depends on nothing else.
    """

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
        self.image = image.clone()
        self.stalled = image.new_zeros((), dtype=torch.bool)  # never
        self.learning_rate, (self.beta1, self.beta2) = learning_rate, betas
        self.epsilon, self.epsilon_hat = epsilon, epsilon_hat
        self.first_moment, self.second_moment = (torch.zeros_like(image, dtype=moments_dtype) for _ in range(2))
        self.steps = image.new_zeros((), dtype=devices.accumulation_dtype(image.device))
        # On a CPU one color channel at a time: temporaries take a third of the memory.
        size = 1 if devices.is_synchronous(image.device) else 3
        self._parts = [slice(start, start + size) for start in range(0, 3, size)]

    def step(self, evaluate: Evaluate) -> Terms:
        """One evaluation, one update."""
        terms, gradient_rows = evaluate(self.image)
        self.steps += 1
        # The moments take in the gradient band by band, so that the gradient of the whole image need not exist at once.
        for rows, gradient in gradient_rows:
            for part in self._parts:
                self._update_moments(part, rows, gradient[:, part])
        for part in self._parts:
            self._update_image(part)
        return terms

    def _update_moments(self, part: slice, rows: slice, gradient: Tensor) -> None:
        """Blend the gradient (1, c, h, W) of some channels into the moments, in its dtype; stored in theirs."""
        first, second = self.first_moment[:, part, rows], self.second_moment[:, part, rows]
        first.copy_(first.to(gradient.dtype).lerp_(gradient, 1 - self.beta1))
        decayed = second.to(gradient.dtype).mul_(self.beta2)
        second.copy_(decayed.addcmul_(gradient, gradient, value=1 - self.beta2))

    def _update_image(self, part: slice) -> None:
        """Replace some channels of the image by those of the next iterate."""
        image, first, second = (each[:, part] for each in (self.image, self.first_moment, self.second_moment))
        # The bias corrections are scalars, so they go into the rate. Algorithm 1 divides numerator and denominator by
        # sqrt(1 - beta2^t) in this form: its epsilon is multiplied by that root, epsilon hat is not.
        bias1, root_bias2 = self._bias(self.beta1), self._bias(self.beta2).sqrt()
        epsilon = self.epsilon if self.epsilon_hat else self.epsilon * root_bias2
        rate = self.learning_rate * root_bias2 / bias1
        denominator = second.to(image.dtype).sqrt().add_(epsilon).div_(rate)
        image.addcdiv_(first.to(image.dtype), denominator, value=-1).clamp_(0, 1)

    def _bias(self, beta: float) -> Tensor:
        """1 - beta^t, without the cancellation of this form, which counts in float32."""
        return -torch.expm1(self.steps * math.log(beta)) if beta else torch.ones_like(self.steps)

    def continue_from(self, coarser: "Adam") -> None:
        """Take over the moments of the run at a coarser scale, resized and rescaled to this image's size.

        The loss is a mean over positions, so a pixel's share in it, and with it its gradient, falls as 1 / (H W). The
        first moment scales with the gradient, the second with its square. A fresh Adam would move every pixel by the
        whole learning rate in its first step, as m / sqrt(v) is then the gradient's sign.
        """
        height, width = self.image.shape[2:]
        ratio = coarser.image.numel() / self.image.numel()
        self.first_moment.copy_(enlarge(coarser.first_moment, height, width).mul_(ratio))
        self.second_moment.copy_(enlarge(coarser.second_moment, height, width).mul_(ratio**2))
        # t continues, too: the moments are no longer biased towards their initial zeros
        self.steps.copy_(coarser.steps)

    def state(self) -> State:
        """The image and the moments; t and the learning rate."""
        tensors = {"image": self.image, "first_moment": self.first_moment, "second_moment": self.second_moment}
        return tensors, {"steps": int(self.steps), "learning_rate": self.learning_rate}

    def restore(self, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> None:
        """Continue from a state."""
        self.image.copy_(tensors["image"])
        self.first_moment.copy_(tensors["first_moment"])
        self.second_moment.copy_(tensors["second_moment"])
        self.steps.fill_(numbers["steps"])
        self.learning_rate = numbers["learning_rate"]


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
        self.decay = decay
        self._value: Tensor | None = None
        self._count = torch.zeros(())  # from the first image on, on its device

    def update(self, image: Tensor) -> None:
        """Include one more image."""
        if self._value is None:
            self._value = torch.zeros_like(image)
            self._count = image.new_zeros(())
        self._count += 1
        weight = ((1 + self.ETA) / (self._count + self.ETA)).clamp_min(1 - self.decay)
        self._value.lerp_(image, weight)  # the weight of the first image is 1

    def state(self) -> State:
        """The average, if any, and the number of images in it."""
        return {} if self._value is None else {"value": self._value}, {"count": int(self._count)}

    def restore(self, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> None:
        """Continue from a state."""
        if "value" in tensors:
            self._value = tensors["value"].clone()
            self._count = self._value.new_full((), numbers["count"])

    @property
    def value(self) -> Tensor | None:
        """The average of the images so far, (1, 3, H, W), modified in place; None if there are none."""
        return self._value
