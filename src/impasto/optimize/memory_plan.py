"""The plan of a run: for each scale whether it is evaluated whole or in strips, the memory it takes, and how long."""

from dataclasses import dataclass, replace

from impasto.errors import SettingError
from impasto.loss.objective import MIN_STRIP
from impasto.optimize.scale_run import LARGE, remembered
from impasto.settings import layers
from impasto.settings.model import Settings
from impasto.settings.schedule import Scale
from impasto.vgg.model import VGG19

STRIPS = (512, 384, 256, 192, 128, 96, 64, 48, 32, MIN_STRIP)
"""Rows of a strip, the best first: the higher, the less time goes into moving the rows between them."""
BASE = 500 * 2**20
"""Bytes of Python, torch, the network, and what an evaluation takes beside the responses: measured."""
SPARE = 1.3
"""Responses, and what malloc cannot give back between them."""
ADAM, LARGE_ADAM, LBFGS = 6, 2.5, 8
"""Pictures in float32 that are held at a time during a step, beside the average and what L-BFGS remembers."""
BEYOND = 1.15
"""A whole step as a multiple of its evaluation: the optimizer, targets, a length that was tried in vain."""

GIGA = 1e9

Size = tuple[int, int]
"""Height and width in pixels."""


@dataclass(frozen=True)
class Stage:
    """One scale of a run: its picture and its styles' sizes, how it is evaluated, and what that takes.

    Attributes:
        strip: rows of the picture that are evaluated at a time; None: all.
        memory: bytes that the process needs.
        multiplications: of all steps together.
    """

    scale: Scale
    frame: Size
    styles: tuple[Size, ...]
    strip: int | None = None
    memory: int = 0
    multiplications: int = 0

    def seconds(self, pace: float) -> float:
        """How long its steps take at so many seconds a multiplication."""
        return BEYOND * pace * self.multiplications


@dataclass(frozen=True)
class Needs:
    """What the stages of a run have in common, and from it what each of them needs.

    Attributes:
        wanted: the layers that are compared.
        held: bytes of the pictures given.
        guided: regions of the picture that have a guide.
    """

    vgg: VGG19
    settings: Settings
    wanted: tuple[str, ...]
    held: int
    guided: int = 0

    def within(self, stage: Stage, memory: int) -> Stage:
        """The stage evaluated whole, or in the highest strips that fit into `memory` bytes.

        Raises:
            SettingError: it does not fit, however narrow they are.
        """
        # the first row of a seamless picture is next to its last one
        for strip in (None,) if self.settings.padding == "circular" else (None, *STRIPS):
            fitted = self.in_strips(stage, strip)
            if fitted.memory <= memory:
                return fitted
        height, width = stage.frame
        raise SettingError(
            f"memory: {width}x{height} pixels need {fitted.memory / GIGA:.1f} GB, got {memory / GIGA:.1f} GB; "
            "give a smaller --size, or a higher --memory-limit"
        )

    def in_strips(self, stage: Stage, strip: int | None) -> Stage:
        """The stage evaluated in strips of so many rows; None: whole."""
        whole = strip is None or strip >= stage.frame[0]
        evaluated = max(self._responses(frame, strip) for frame in (stage.frame, *stage.styles))
        return replace(
            stage,
            strip=None if whole else strip,
            memory=BASE + self.held + self._pictures(stage) + round(SPARE * evaluated),
            # the way back multiplies as often as the way there, which strips go twice
            multiplications=(2 if whole else 3) * stage.scale.steps * layers.multiply_adds(self.wanted, *stage.frame),
        )

    def _pictures(self, stage: Stage) -> int:
        """Bytes of the optimizer and of the content's responses."""
        height, width = stage.frame
        picture = 3 * height * width
        steps = remembered(picture) if self.settings.optimizer == "lbfgs" else 0
        pictures = LBFGS + 2 * steps + 1 if steps else LARGE_ADAM if picture > LARGE else ADAM
        pictures += self.settings.average > 0
        content = [name for name in self.settings.content_layers if name in self.wanted]
        targets = sum(self.vgg.channels(name) * layers.position_count(name, height, width) for name in content)
        guides = self.guided * sum(layers.position_count(name, height, width) for name in self.settings.style_layers)
        return round(4 * (pictures * picture + guides)) + self.vgg.dtype.itemsize * targets

    def _responses(self, frame: Size, strip: int | None) -> int:
        """Bytes of the responses that are kept of a picture evaluated in strips."""
        (height, width), names = frame, layers.up_to_last(self.wanted)
        whole = strip is None or strip >= height
        reach = sum(layers.min_edge([name]) for name in names if name in layers.CONVS)  # pixels seen to one side
        values = seen = 0
        for name in names:
            shrink = layers.min_edge([name])
            seen += shrink if name in layers.CONVS else 0
            rows = height // shrink
            if not whole:
                window = (2 * (reach - seen) + (strip or 0)) // shrink + 3
                rows = min(rows, window + window // 4)  # as much room to spare as `Rows` takes
            values += self.vgg.channels(name) * rows * (width // shrink)
        return self.vgg.dtype.itemsize * values
