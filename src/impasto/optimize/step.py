"""`Step`: what a run yields."""

from dataclasses import dataclass, field
from typing import Any, Protocol

from impasto.errors import SettingError
from impasto.images.picture import Picture
from impasto.loss.objective import Terms


class _Current(Protocol):
    @property
    def picture(self) -> Picture:
        """The result so far."""


@dataclass(frozen=True)
class Step:
    """One step of a run.

    Attributes:
        number: from 0, over all scales.
        scale: long edge in pixels of the scale.
        seconds: since the run started.
        terms: of the loss of the image before the step.
        notes: messages for the user.
    """

    number: int
    scale: int
    seconds: float
    terms: Terms
    notes: tuple[str, ...] = ()
    run: "_Current | None" = field(repr=False, kw_only=True, default=None)

    def preview(self) -> Picture:
        """The current image, at the size of the current scale.

        Raises:
            SettingError: the step was pickled, and has left its run behind.
        """
        if self.run is None:
            raise SettingError("preview: got a step without its run, which is not pickled; call it where the run is")
        return self.run.picture

    def __getstate__(self) -> dict[str, Any]:
        """The step without its run, its terms on the CPU."""
        terms = Terms.from_stacked(self.terms.stacked().cpu(), self.terms.layers)
        return {**vars(self), "terms": terms, "run": None}
