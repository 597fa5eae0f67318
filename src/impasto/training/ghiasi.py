"""The task of ``recipes/ghiasi.toml``: a network that predicts the row of any style.

Ghiasi et al. 2017, arXiv:1705.06830, section 2: a style prediction network looks at the painting
and gives an embedding of 100 numbers, from which scale and shift of the transformation network
follow; both are trained together, every picture of a batch in a painting of its own. Differs: a
part of the pairs are a photo with itself and have to come back as they were, so that strength can
move between the photo's own embedding and the painting's.
"""

from pathlib import Path
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from impasto.moments import TapMoments, moments
from impasto.networks.encoders import TAPS, Encoder, Shape, load_encoder
from impasto.networks.predictors import Head, MomentsPredictor
from impasto.networks.transformer import EXPANSION, Transformer
from impasto.runtime import Runtime
from impasto.training.adain import recolored
from impasto.training.batches import crops
from impasto.training.data import Crops, training_files
from impasto.training.loop import Stateless
from impasto.training.perceptual import Critics, PerceptualRecipe, means, rebuilt


class GhiasiRecipe(PerceptualRecipe):
    """How a network for any style is trained."""

    kind: Literal["ghiasi"] = "ghiasi"
    encoder: Literal["compact", "vgg16", "vgg19"] = "compact"
    """The network whose moments the prediction looks at."""
    size: int = Field(256, ge=32)
    """Side of the crops of paintings, pixels."""
    closest: float = Field(0.6, gt=0, le=1)
    """Share of a painting's short side that a crop shows at the least."""
    identity: float = Field(10.0, ge=0)
    """Weight of the relative error of the pixels where the style is the photo itself."""


class Network(nn.Module):
    """Prediction and transformation network together."""

    def __init__(self, width: float, norm: str, shape: Shape) -> None:
        super().__init__()
        self.network = Transformer(width, norm, EXPANSION)  # type: ignore[arg-type]
        self.predictor = MomentsPredictor(shape)
        self.head = Head(self.network.neutral())

    def forward(self, image: Tensor, looks: TapMoments) -> Tensor:
        """Every picture of the batch in the style of its painting."""
        return self.network(image, self.head(self.predictor(looks)))  # type: ignore[no-any-return]


class GhiasiTask(Stateless):
    """Batches and losses for the loop."""

    def __init__(self, recipe: GhiasiRecipe, data: Path, teacher: Path, runtime: Runtime) -> None:
        self.recipe, self.runtime = recipe, runtime
        self.critics = Critics(recipe, teacher, runtime)
        self.encoder = runtime.place(load_encoder(recipe.encoder))
        torch.manual_seed(recipe.schedule.seed)
        self.module = runtime.place(Network(recipe.width, recipe.norm, self.encoder.shape))
        self.photos = training_files(data / "photos")
        self.paintings = training_files(data / "paintings")
        first = [look(self.encoder, self._paintings(i, 8)) for i in range(32)]
        self.module.predictor.measure(joined(first))

    def _paintings(self, step: int, count: int) -> Tensor:
        seed = self.recipe.schedule.seed + 1
        source = Crops(self.paintings, self.recipe.size, seed, self.recipe.closest)
        stack = torch.stack([source[step * count + index] for index in range(count)])
        return self.runtime.tensor(recolored(stack))

    def losses(self, step: int) -> dict[str, Tensor]:
        """Content, style, and the identity of the first picture of the batch."""
        seed = self.recipe.schedule.seed
        photos = crops(self.photos, self.recipe, step, self.runtime, seed)
        paintings = self._paintings(step, len(photos) - 1)
        critic = self.critics.at(step)
        with self.runtime.autocast():
            with torch.no_grad():
                looks = joined([look(self.encoder, x) for x in (photos[:1], paintings)])
            parts = [critic.grams(x) for x in (photos[:1], paintings)]
            wanted = {tap: torch.cat([grams[tap] for grams in parts]) for tap in parts[0]}
            painted = self.module(photos, looks)
            errors = critic.errors(painted, photos, wanted)
        same = torch.arange(len(photos), device=photos.device) == 0
        errors["identity"] = self.recipe.identity * same * rebuilt(painted, photos)
        return means(errors)


@torch.no_grad()
def look(encoder: Encoder, images: Tensor) -> TapMoments:
    """The moments of B paintings at the five taps."""
    return {tap: moments(f) for tap, f in encoder(images, TAPS).items()}


def joined(parts: list[TapMoments]) -> TapMoments:
    """Moments of several batches as one."""
    return {
        tap: type(parts[0][tap])(*map(torch.cat, zip(*(part[tap] for part in parts), strict=True)))
        for tap in parts[0]
    }
