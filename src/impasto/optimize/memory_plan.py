"""Memory and time that each scale of a run needs, and the height of strips that fits into a memory limit."""

import math
from dataclasses import dataclass, replace

from impasto.errors import SettingError
from impasto.loss.objective import MIN_STRIP
from impasto.loss.style_targets import SAMPLE_SIZE
from impasto.loss.targets import statistics_of
from impasto.memory import BASE_BYTES
from impasto.optimize.curvature import GPU_CHUNK_BYTES
from impasto.settings import layers
from impasto.settings.model import Settings
from impasto.settings.schedule import Scale
from impasto.vgg.model import VGG19

STRIP_HEIGHTS = (512, 384, 256, 192, 128, 96, 64, 48, 32, MIN_STRIP)
"""Rows of a strip, best first: the higher, the less time goes into moving rows between strips."""
FRAGMENTATION = 1.3
"""CPU: memory of the process per byte of feature maps: malloc cannot return the gaps between them; measured."""
TEMPORARIES = 3
"""GPU: temporary tensors of an evaluation at its peak, in sizes of the largest layer, evaluated all rows at once.

In the backward pass of the first pool: the gradient before and after it, the maxima and their 8-byte indices, together
2.5 such sizes in bfloat16 and 2.2 in float32.
"""
TEMPORARY_IMAGES = 2
"""Float32 images that the optimizer computes with at the peak of a step, besides a chunk of the history of L-BFGS."""
WORKSPACE = 1
"""GPU: memory that the kernels of the convolutions work in, in sizes of the largest layer.

A CUDA graph has its own pool for temporaries and workspace, in place of those of the steps before it.
"""
GPU_BYTES = 256 * 2**20
"""GPU: kernels that are loaded later, and the workspaces of the matrix products (cuBLAS: 32 MiB a stream)."""
ADAM_IMAGES, LARGE_ADAM_IMAGES, LBFGS_IMAGES = 5, 2.5, 6
"""Float32 images held at the peak of a step, besides the iterate average and the basis of L-BFGS.

Adam: image, gradient, both moments, best image. Adam on a large image: image, moments in bfloat16 (one image), best
image in 8 bits (a quarter), bands of the gradient (a quarter). L-BFGS: image and gradient, those of the trial step,
direction, best image.
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
SAMPLE_ARRAYS, MATCH_BYTES, NEAREST_TEMPORARIES = 2, 12, 3
"""Nearest neighbors: a sample has features and directions; a position has an 8-byte index and a float32 factor. Sizes
of a layer: features minus the center, their neighbors' directions, a product of both.
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


def lbfgs_rows(history_size: int) -> int:
    """Rows of the basis of L-BFGS, each of the size of an image: s and y of every pair and of a spare one, gradient."""
    return 2 * (history_size + 1) + 1


@dataclass(frozen=True)
class ScalePlan:
    """One scale of a run: the sizes of its images, how it is evaluated, and what that needs.

    Attributes:
        size: of the image that is optimized.
        style_sizes: of the style images.
        strip: rows of the image that are evaluated at a time; None: all.
        memory: bytes that the process needs, of the device that evaluates the network.
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
        input_bytes: main memory of the input images, and of the result if it is upsampled.
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
        network = max(self._network_bytes(plan, size, strip) for size in (plan.size, *plan.style_sizes))
        return replace(
            plan,
            strip=None if whole else strip,
            memory=self._fixed_bytes()
            + self._step_bytes(plan)
            + self._nearest_bytes(plan, strip)
            + network
            + self._ncnn_bytes(plan),
            # the backward pass multiplies as often as the forward pass, which strips run twice
            multiply_adds=(2 if whole else 3) * plan.scale.steps * layers.multiply_adds(self.layer_names, *plan.size),
        )

    def _fixed_bytes(self) -> int:
        """Bytes that do not depend on the scale."""
        if self.vgg.device.type == "cpu":
            return BASE_BYTES + self.input_bytes
        return GPU_BYTES + self.vgg.nbytes

    def _ncnn_bytes(self, plan: ScalePlan) -> int:
        """Bytes of ncnn's copies of the kernels and of its workspace."""
        return self.vgg.ncnn_bytes(layers.up_to_last(self.layer_names), plan.size[1])

    def _step_bytes(self, plan: ScalePlan) -> int:
        """Bytes of the optimizer, of the content targets and of the guides."""
        height, width = plan.size
        values = 3 * height * width
        images: float = LARGE_ADAM_IMAGES if is_large(values) else ADAM_IMAGES
        if rows := self._history_rows(plan):
            images = LBFGS_IMAGES + rows
        if self.vgg.device.type == "cpu" and not is_large(values):  # a GPU's are counted with those of the network
            images += TEMPORARY_IMAGES
        images += self.settings.average > 0
        content = [name for name in self.settings.content_layers if name in self.layer_names]
        targets = sum(self.vgg.channels(name) * layers.position_count(name, height, width) for name in content)
        guides = self.guided_regions * sum(
            layers.position_count(name, height, width) for name in self.settings.style_layers
        )
        if self.guided_regions or self.settings.adaptive_content:  # the positions of the content have weights as well
            guides += sum(layers.position_count(name, height, width) for name in content)
        if self.settings.grain_weight:  # which is compared pixel by pixel
            guides += self.guided_regions * height * width
        return round(4 * (images * values + guides)) + self.vgg.dtype.itemsize * targets

    def _nearest_bytes(self, plan: ScalePlan, strip: int | None) -> int:
        """Bytes of the samples, of the neighbor of each position and its factor, and of temporaries."""
        (height, width), itemsize = plan.size, self.vgg.dtype.itemsize
        names = statistics_of(self.settings.style_loss, self.settings.style_layers).get("nearest", ())
        samples, matches, temporaries = 0, 0, [0]
        for name in set(names) & set(self.layer_names):
            channels = self.vgg.channels(name)
            samples += SAMPLE_ARRAYS * itemsize * SAMPLE_SIZE * channels
            matches += MATCH_BYTES * layers.position_count(name, height, width)
            rows = min(height, strip or height)
            temporaries.append(NEAREST_TEMPORARIES * itemsize * channels * layers.position_count(name, rows, width))
        return max(self.guided_regions, 1) * (samples + matches) + max(temporaries)

    def _history_rows(self, plan: ScalePlan) -> int:
        """Rows of the basis of L-BFGS; 0: another optimizer."""
        size = lbfgs_history_size(3 * math.prod(plan.size)) if self.settings.optimizer == "lbfgs" else 0
        return lbfgs_rows(size) if size else 0

    def _network_bytes(self, plan: ScalePlan, size: Size, strip: int | None) -> int:
        """Bytes of an evaluation of an image in strips of `strip` rows (None: whole), and of temporaries of a step."""
        features = self._feature_bytes(size, strip)
        if self.vgg.device.type == "cpu":  # whose temporaries, of a band of rows, are part of `BASE_BYTES`
            return round(FRAGMENTATION * sum(features))
        image, largest = 4 * 3 * math.prod(plan.size), max(features)
        of_optimizer = TEMPORARY_IMAGES * image + min(self._history_rows(plan) * image, GPU_CHUNK_BYTES)
        return sum(features) + max(TEMPORARIES * largest, of_optimizer) + WORKSPACE * largest

    def _feature_bytes(self, size: Size, strip: int | None) -> list[int]:
        """Bytes of the feature maps that are kept, layer by layer.

        Whole: the feature maps of all layers, h w C values each. In strips: per layer a window of rows, those of the
        strip and those that deeper layers still need. As every 3x3 convolution sees one row more to either side, this
        margin is, in pixels, the sum of the strides of the deeper convolutions.
        """
        (height, width), names = size, layers.up_to_last(self.layer_names)
        whole = strip is None or strip >= height
        reach = sum(layers.min_edge([name]) for name in names if name in layers.CONVS)  # of the deepest layer
        sizes, reach_so_far = [], 0
        for name in names:
            stride = layers.min_edge([name])
            reach_so_far += stride if name in layers.CONVS else 0
            rows = height // stride
            if not whole:
                window = (2 * (reach - reach_so_far) + (strip or 0)) // stride + 3
                rows = min(rows, window + window // 4)  # `RowWindow` allocates a quarter more than it needs
            sizes.append(self.vgg.dtype.itemsize * self.vgg.channels(name) * rows * (width // stride))
        return sizes
