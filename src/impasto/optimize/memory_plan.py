"""Memory and time that each scale of a run needs, and the height of strips that fits into a memory limit."""

from dataclasses import dataclass, replace

from impasto.errors import SettingError
from impasto.loss.objective import MIN_STRIP
from impasto.memory import BASE_BYTES
from impasto.settings import layers
from impasto.settings.model import Settings
from impasto.settings.schedule import Scale
from impasto.vgg.model import VGG19

STRIP_HEIGHTS = (512, 384, 256, 192, 128, 96, 64, 48, 32, MIN_STRIP)
"""Rows of a strip, best first: the higher, the less time goes into moving rows between strips."""
FRAGMENTATION = 1.3
"""Memory of the process per byte of feature maps: malloc cannot return the gaps between them; measured."""
ADAM_IMAGES, LARGE_ADAM_IMAGES, LBFGS_IMAGES = 6, 2.5, 8
"""Float32 images held at the peak of a step, besides the iterate average and the history of L-BFGS.

Adam: image and new image, gradient, both moments, best image. Adam on a large image, during the evaluation: image,
moments in bfloat16 (one image), best image in 8 bits (a quarter), bands of the gradient (a quarter); the new image
takes the place of the feature maps, which are released before. L-BFGS: image and gradient before and after the step
(y is computed in place of the gradient), direction or s, best image, and two for temporaries.
"""
STEP_OVERHEAD = 1.15
"""Time of a step relative to its evaluation: the optimizer, the losses, additional evaluations of the line search."""
MAX_HISTORY, MIN_HISTORY = 20, 3
"""Pairs in the history of L-BFGS: 3 to 20 work well in practice (Nocedal & Wright, section 7.2)."""
HISTORY_VALUES = 96 * 2**20
"""Values (384 MiB in float32) that limit the history down to MIN_HISTORY: 20 pairs at 1024x768, 5 at 2048x1536."""
LARGE_IMAGE = 64 * 2**20
"""Values of an image above which memory goes before precision.

Three float32 pairs of such an image alone take 1.5 GiB. Adam replaces L-BFGS, its moments are stored in bfloat16, and
the best image in 8 bits a channel.
"""

GIGA = 1e9

Size = tuple[int, int]
"""Height and width in pixels."""


def is_large(values: int) -> bool:
    """Whether an image of `values` values is so large that memory goes before precision, see `LARGE_IMAGE`."""
    return values > LARGE_IMAGE


def lbfgs_history_size(values: int) -> int:
    """The number of pairs in the history of L-BFGS for an image of `values` values; 0: Adam replaces L-BFGS."""
    if is_large(values):
        return 0
    return max(min(HISTORY_VALUES // (2 * values), MAX_HISTORY), MIN_HISTORY)  # a pair is two vectors, s and y


@dataclass(frozen=True)
class ScalePlan:
    """One scale of a run: the sizes of its images, how it is evaluated, and what that needs.

    Attributes:
        size: of the image that is optimized.
        style_sizes: of the style images.
        strip: rows of the image that are evaluated at a time; None: all.
        memory: bytes that the process needs.
        multiply_adds: of all steps together.
    """

    scale: Scale
    size: Size
    style_sizes: tuple[Size, ...]
    strip: int | None = None
    memory: int = 0
    multiply_adds: int = 0

    def seconds(self, pace: float) -> float:
        """Estimated time of all steps, given the seconds per multiply-add."""
        return STEP_OVERHEAD * pace * self.multiply_adds


@dataclass(frozen=True)
class CostModel:
    """Estimates the memory and the work of a run's scales.

    Attributes:
        layer_names: the layers that losses are computed in.
        input_bytes: memory of the input images.
        guided_regions: number of regions that have a guide.
    """

    vgg: VGG19
    settings: Settings
    layer_names: tuple[str, ...]
    input_bytes: int
    guided_regions: int = 0

    def fit(self, plan: ScalePlan, memory_limit: int) -> ScalePlan:
        """The scale evaluated whole, or in the highest strips that fit into `memory_limit` bytes.

        Raises:
            SettingError: even the lowest strips do not fit.
        """
        # with circular padding the first row is next to the last one, so that an image must be evaluated whole
        for strip in (None,) if self.settings.padding == "circular" else (None, *STRIP_HEIGHTS):
            fitted = self.estimate(plan, strip)
            if fitted.memory <= memory_limit:
                return fitted
        height, width = plan.size
        raise SettingError(
            f"memory: {width}x{height} pixels need {fitted.memory / GIGA:.1f} GB, got {memory_limit / GIGA:.1f} GB; "
            "give a smaller --size, or a higher --memory-limit"
        )

    def estimate(self, plan: ScalePlan, strip: int | None) -> ScalePlan:
        """The scale evaluated in strips of `strip` rows (None: whole), with its memory and work."""
        whole = strip is None or strip >= plan.size[0]
        # the targets are computed from the style images before the first step, so the larger of the two counts
        features = max(self._feature_bytes(size, strip) for size in (plan.size, *plan.style_sizes))
        return replace(
            plan,
            strip=None if whole else strip,
            memory=BASE_BYTES
            + self.input_bytes
            + self._step_bytes(plan)
            + round(FRAGMENTATION * features)
            + self.vgg.ncnn_bytes(layers.up_to_last(self.layer_names), plan.size[1]),
            # the backward pass multiplies as often as the forward pass, which strips run twice
            multiply_adds=(2 if whole else 3) * plan.scale.steps * layers.multiply_adds(self.layer_names, *plan.size),
        )

    def _step_bytes(self, plan: ScalePlan) -> int:
        """Bytes of the optimizer, of the content targets and of the guides."""
        height, width = plan.size
        values = 3 * height * width
        history_size = lbfgs_history_size(values) if self.settings.optimizer == "lbfgs" else 0
        images: float = LARGE_ADAM_IMAGES if is_large(values) else ADAM_IMAGES
        if history_size:
            images = LBFGS_IMAGES + 2 * history_size + 1  # the basis: s and y of every pair, and the gradient
        images += self.settings.average > 0
        content = [name for name in self.settings.content_layers if name in self.layer_names]
        targets = sum(self.vgg.channels(name) * layers.position_count(name, height, width) for name in content)
        guides = self.guided_regions * sum(
            layers.position_count(name, height, width) for name in self.settings.style_layers
        )
        return round(4 * (images * values + guides)) + self.vgg.dtype.itemsize * targets

    def _feature_bytes(self, size: Size, strip: int | None) -> int:
        """Bytes of the feature maps that are kept of an image evaluated in strips of `strip` rows (None: whole).

        Whole: the feature maps of all layers, h w C values each. In strips: per layer a window of rows, those of the
        strip and those that deeper layers still need. As every 3x3 convolution sees one row more to either side, this
        margin is, in pixels, the sum of the strides of the deeper convolutions.
        """
        (height, width), names = size, layers.up_to_last(self.layer_names)
        whole = strip is None or strip >= height
        reach = sum(layers.min_edge([name]) for name in names if name in layers.CONVS)  # of the deepest layer
        values = reach_so_far = 0
        for name in names:
            stride = layers.min_edge([name])
            reach_so_far += stride if name in layers.CONVS else 0
            rows = height // stride
            if not whole:
                window = (2 * (reach - reach_so_far) + (strip or 0)) // stride + 3
                rows = min(rows, window + window // 4)  # `RowWindow` allocates a quarter more than it needs
            values += self.vgg.channels(name) * rows * (width // stride)
        return self.vgg.dtype.itemsize * values
