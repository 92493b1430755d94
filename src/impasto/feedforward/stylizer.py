"""Feed-forward networks ready for use on a device: Magenta's for any style, or one distilled from one style image."""

import os
from collections.abc import Sequence
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from impasto.errors import SettingError, is_out_of_memory
from impasto.feedforward import pretrained, weights
from impasto.feedforward.inference import TransformerInference
from impasto.feedforward.network import STYLE_IMAGE_SIZE, Affines, Transformer
from impasto.feedforward.style_file import DistilledStyle, is_style_file, load_style_file
from impasto.images.masks import Style
from impasto.images.picture import Picture
from impasto.images.resize import resize
from impasto.images.sources import StyleSource, as_list
from impasto.memory import resident_memory
from impasto.torch_state import isolated
from impasto.vgg import device as devices

FALLBACK_STRIP = 16
"""Rows per strip, at quarter resolution, for the second attempt after an allocation failed."""


class _FeedForwardNetwork:
    """A transformer ready for inference on a device.

    Attributes:
        device, dtype, tf32: where and in what precision it is evaluated.
        sha256: of the file with its weights.
    """

    def __init__(self, transformer: Transformer, sha256: str, device: torch.device | str, precision: str) -> None:
        self.device = devices.select_device(device)
        self.dtype, self.tf32 = devices.select_dtype(precision, self.device), precision == "tf32"
        self.sha256 = sha256
        self._inference = TransformerInference(transformer, device=self.device, dtype=self.dtype)

    @property
    def precision(self) -> str:
        """The name of `dtype`, or "tf32": float32 whose factors are rounded to TF32."""
        return "tf32" if self.tf32 else str(self.dtype).removeprefix("torch.")

    @isolated
    def stylize(
        self, content: Tensor, affines: Affines, memory: int | None = None, out: Tensor | None = None
    ) -> Tensor:
        """(3, H, W) float32 sRGB in [0, 1], on the CPU -> stylized, same shape, dtype and range.

        Args:
            memory: bytes that the process may take; an image that needs more is evaluated in strips. By default what
                the device has free.
            out: the output tensor; it may be `content` itself.
        """
        limit = devices.available_memory(self.device) if memory is None else memory
        # on the CPU the limit is that of the whole process, what it holds already included
        available = max(limit - resident_memory(), 0) if self.device.type == "cpu" else limit
        try:
            with devices.arithmetic(self.device, tf32=self.tf32):
                return self._inference(content, affines, available, out)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error) or out is not None:  # the content image may be overwritten in part
                raise
        devices.release_memory(self.device)
        with devices.arithmetic(self.device, tf32=self.tf32):
            return self._inference.run_in_strips(content, affines, FALLBACK_STRIP)


class FastNetwork(_FeedForwardNetwork):
    """Magenta's network for any style: load it once, stylize any number of images."""

    @isolated
    def __init__(self, device: torch.device | str = "auto", precision: str = "auto") -> None:
        """Load the network.

        Raises:
            WeightsError: its weights are missing or damaged.
            SettingError: an unknown or unavailable device or precision.
        """
        self._predictor, self._conditioner, self.transformer = pretrained.load()
        super().__init__(self.transformer, weights.SHA256[weights.TRANSFORMER], device, precision)
        self._vectors: WeakKeyDictionary[Picture, Tensor] = WeakKeyDictionary()

    @isolated
    def style_vector(self, picture: Picture) -> Tensor:
        """The style vector of an image, (100,) float32, predicted from its central square.

        It is kept as long as the `Picture` exists: with many content images it is computed once.
        """
        if picture not in self._vectors:
            self._vectors[picture] = self._predict(picture)
        return self._vectors[picture]

    def _predict(self, picture: Picture) -> Tensor:
        side = min(picture.height, picture.width)
        top, left = (picture.height - side) // 2, (picture.width - side) // 2
        square = picture.composited()[None, :, top : top + side, left : left + side]
        with torch.no_grad():
            vector: Tensor = self._predictor(resize(square, STYLE_IMAGE_SIZE, STYLE_IMAGE_SIZE))[0]
        return vector

    @isolated
    def affines_for(self, styles: Sequence[Style], content: Picture, strength: float) -> Affines:
        """The normalization parameters for the weighted mean of the style vectors, at a style strength in [0, 1].

        The vector lies on the line through the content image's own vector c and the mean s of those of the style
        images: c + t (s - c) (Ghiasi et al., section 3.4). `strength` 0 is t = 0, 0.5 is t = 1, and 1 is t = 1.5; with
        larger t the content image is no longer recognizable.
        """
        total = sum(style.weight for style in styles)
        vector = sum((style.weight / total * self.style_vector(style.picture) for style in styles), torch.zeros(()))
        if strength != 0.5:
            own = self.style_vector(content)
            vector = own + min(2 * strength, 0.5 + strength) * (vector - own)
        with torch.no_grad():
            affines: Affines = self._conditioner(vector)
        return affines


class SingleStyleNetwork(_FeedForwardNetwork):
    """A network distilled from one style image: its style is fixed, and so is the strength.

    Attributes:
        name: of its file, without the folder.
        affines: its normalization parameters.
    """

    @isolated
    def __init__(self, distilled: DistilledStyle, device: torch.device | str = "auto", precision: str = "auto") -> None:
        super().__init__(distilled.network.transformer, distilled.sha256, device, precision)
        self.name = distilled.name
        self.affines = distilled.network.affines


@isolated
def network_for(
    styles: StyleSource | Sequence[StyleSource], device: torch.device | str = "auto", precision: str = "auto"
) -> FastNetwork | SingleStyleNetwork:
    """The network for `styles`: Magenta's for style images, or the one in a file that `distill` wrote.

    Raises:
        SettingError: a distilled style among others.
        WeightsError: the file cannot be used, or Magenta's weights are missing.
    """
    sources = as_list(styles)
    style_files = [
        os.fspath(source) for source in sources if isinstance(source, str | os.PathLike) and is_style_file(source)
    ]
    if not style_files:
        return FastNetwork(device, precision)
    if len(sources) > 1:
        raise SettingError(f"styles: got {len(sources)}; a distilled style cannot be mixed, give it alone")
    return SingleStyleNetwork(load_style_file(style_files[0]), device, precision)
