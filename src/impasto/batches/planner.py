"""Plans the jobs of a batch from files: content images, style images, and combinations of settings."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from impasto.batches.grid import Axis, Combination, Grid
from impasto.batches.inputs import hashed_files
from impasto.batches.plan import Plan
from impasto.errors import PictureError
from impasto.images.formats import check_suffix
from impasto.jobs.job import InputFile, StyleFile, file_hash
from impasto.settings.model import INITS, Settings
from impasto.storage import Place


class Planner:
    """Plans the jobs for content images, with the same styles and settings.

    Args:
        styles: the style images, each used on its own.
        combinations: the settings, see `combinations`.
        folder: of the results.
        suffix: of the results, such as ".png".

    Attributes:
        failures: the inputs that could not be read, a message each.

    Raises:
        OutputError: a format that cannot hold the results.
        PictureError: no style image can be read.
    """

    def __init__(
        self, styles: Sequence[Place], combinations: Sequence[Combination], folder: Place, suffix: str = ".png"
    ) -> None:
        for each in combinations:
            check_suffix(Path(f"result{suffix}"), each.settings.depth)
        self.failures: list[str] = []
        self._styles = [StyleFile(path=file.path, sha256=file.sha256) for file in self._hashed(styles)]
        if not self._styles:
            raise PictureError(self.failures[0] if self.failures else "styles: got none; give a style image")
        inits = {each.settings.init for each in combinations}.difference(INITS)
        self._inits = {name: InputFile(path=name, sha256=file_hash(name)) for name in inits}
        self._combinations, self._folder, self._suffix = combinations, folder, suffix

    def __call__(self, contents: Iterable[Place], names: Mapping[str, str]) -> Plan:
        """The plan.

        Args:
            names: of results in the folder, by the ids of their jobs, which keep them.
        """
        return Plan(
            self._hashed(contents),
            [(style,) for style in self._styles],
            self._combinations,
            str(self._folder),
            inits=self._inits,
            suffix=self._suffix,
            named=names,
        )

    @property
    def per_content(self) -> int:
        """The number of jobs that each content image has."""
        return len(self._styles) * len(self._combinations)

    def _hashed(self, paths: Iterable[Place]) -> list[InputFile]:
        hashed, failures = hashed_files(paths)
        self.failures += failures
        return hashed


def combinations(axes: Sequence[Axis], base: Settings, fixed: Mapping[str, object]) -> list[Combination]:
    """The settings of the jobs that one content image and one style have; a single one without axes.

    Args:
        base, fixed: as for `Grid`.

    Raises:
        SettingError: a value out of range, or values that cannot be combined.
    """
    if not axes:
        return [Combination({}, base.replace(**fixed))]
    return Grid(tuple(axes), base, fixed).combinations()
