"""What the tests of images share."""

import pytest

from impasto.images.loading import load
from impasto.images.picture import Picture


@pytest.fixture
def read(tmp_path):
    """Load bytes as the file `a.jpg`: the name must not matter."""

    def _read(data: bytes, **options) -> Picture:
        path = tmp_path / "a.jpg"
        path.write_bytes(data)
        return load(path, **options)

    return _read
