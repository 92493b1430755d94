"""What a page needs to know at first."""

import functools
from typing import Any

from impasto.images.faces.weights import is_installed as has_face_detector
from impasto.settings.model import Settings
from impasto.settings.presets import presets
from impasto.version import __version__
from impasto.web.files import MAX_BYTES
from impasto.web.saved_settings import SavedSettings
from impasto.web.spec import MAX_STYLES, default_values

DEMO = {"portrait.jpg": "content", "swirls.jpg": "style", "waves.jpg": "style", "glass.jpg": "style"}
"""The bundled images, and what they are meant for."""
TRAINING = "distill"
"""The preset that is for the training of networks only."""
PRIMARY = ("strength", "size", "style_scale", "color", "method")
"""The settings that a page shows first."""
MAX_PIXELS = 150_000_000


def setup(saved: SavedSettings, devices: list[str]) -> dict[str, Any]:
    """What a page needs to know at first."""
    return {**_constant(), "saved": saved.all(), "devices": devices, "faces": has_face_detector()}


@functools.cache
def _constant() -> dict[str, Any]:
    """What is the same as long as the server runs: the schema of the settings alone takes milliseconds."""
    return {
        "version": __version__,
        "schema": Settings.model_json_schema(),
        "defaults": dict(default_values()),
        "presets": [
            {
                "name": each.name,
                "description": each.description,
                "settings": each.settings.replace(depth=16).model_dump(mode="json"),
            }
            for each in presets()
            if each.name != TRAINING
        ],
        "primary": PRIMARY,
        "demo": [{"name": name, "role": role} for name, role in DEMO.items()],
        "limits": {"upload_bytes": MAX_BYTES, "pixels": MAX_PIXELS, "styles": MAX_STYLES},
    }
