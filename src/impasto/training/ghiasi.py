"""The task of ``recipes/ghiasi.toml``: a network that predicts the row of any style.

Ghiasi et al. 2017, arXiv:1705.06830, section 2: a style prediction network looks at the painting
and gives an embedding of 100 numbers, from which scale and shift of the transformation network
follow; both are trained together, every picture of a batch in a painting of its own. Differs: a
part of the pairs are a photo with itself and have to come back as they were, so that strength can
move between the photo's own embedding and the painting's.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from impasto.config import validate
from impasto.errors import MissingWeights
from impasto.media.image import resize
from impasto.moments import TapMoments
from impasto.networks.encoders import load_encoder
from impasto.networks.inception import InceptionPredictor, load_inception
from impasto.networks.painters import AnyStyle
from impasto.networks.predictors import MomentsPredictor
from impasto.runtime import Runtime
from impasto.style import looks
from impasto.training import judge
from impasto.training.adain import recolored
from impasto.training.batches import Batches
from impasto.training.consistency import inconsistency
from impasto.training.data import Crops, shown, training_files
from impasto.training.job import Job, Trained, written
from impasto.training.loop import Stateless, train
from impasto.training.perceptual import (
    Critics,
    PerceptualRecipe,
    PerceptualStage,
    means,
    measured,
    painted,
    painting,
    rebuilt,
    sampled,
    stacked,
)

Seen = TapMoments | Tensor


class GhiasiStage(PerceptualStage):
    """A stretch of the training."""

    batch: int = Field(4, ge=2)
    """The first picture of a batch is its own style, the others have paintings."""


class GhiasiRecipe(PerceptualRecipe):
    """How a network for any style is trained."""

    kind: Literal["ghiasi"] = "ghiasi"
    stages: tuple[GhiasiStage, ...] = Field(min_length=1)
    predictor: Literal["moments", "inception"] = "moments"
    """moments: of the encoder, which a Style keeps; inception: the paper's, which sees pixels."""
    encoder: Literal["compact", "vgg16", "vgg19"] = "compact"
    """The network whose moments the prediction looks at."""
    size: int = Field(192, ge=32)
    """Side of the crops of paintings, pixels."""
    closest: float = Field(0.5, gt=0, le=1)
    """Share of a painting's short side that a crop shows at the least."""
    identity: float = Field(10.0, ge=0)
    """Weight of the relative error of the pixels where the style is the photo itself."""


class GhiasiTask(Stateless):
    """Batches and losses for the loop."""

    def __init__(self, recipe: GhiasiRecipe, data: Path, teacher: Path, runtime: Runtime) -> None:
        self.recipe, self.runtime, self.data = recipe, runtime, data
        self.critics = Critics(recipe, teacher, runtime)
        self.encoder = runtime.place(load_encoder(recipe.encoder))
        torch.manual_seed(recipe.schedule.seed)
        self.module = runtime.place(AnyStyle(self._predictor(), recipe.width, recipe.norm))
        seed = recipe.schedule.seed
        self.photos = training_files(data / "photos")
        self.paintings = training_files(data / "paintings")
        self.batches = Batches(self.photos, recipe, seed, runtime)
        size, closest = recipe.size, recipe.closest
        self.styles = Batches(
            self.paintings, recipe, seed + 1, runtime, size=size, closest=closest, fewer=1
        )
        if isinstance(self.module.predictor, MomentsPredictor):
            source = Crops(self.paintings, recipe.size, seed + 2, recipe.closest)
            first = [runtime.tensor(recolored(source[index][None])) for index in range(256)]
            self.module.predictor.measure(self._moments(first))

    def _predictor(self) -> nn.Module:
        if self.recipe.predictor == "moments":
            return MomentsPredictor(self.encoder.shape.channels)
        try:
            return load_inception()
        except MissingWeights:
            return InceptionPredictor()

    @torch.no_grad()
    def seen(self, *paintings: Tensor) -> Seen:
        """What the prediction sees of paintings: their moments, or the pictures themselves."""
        if self.recipe.predictor == "inception":
            size = (self.recipe.size, self.recipe.size)  # photos have that of the stage
            return torch.cat([resize(images, size) for images in paintings])
        return self._moments(paintings)

    @torch.no_grad()
    def _moments(self, paintings: Sequence[Tensor]) -> TapMoments:
        return joined([looks(self.encoder, images) for images in paintings])

    @property
    def unreadable(self) -> set[str]:
        """The files that were skipped so far."""
        return self.batches.unreadable | self.styles.unreadable

    def losses(self, number: int) -> dict[str, Tensor]:
        """Content, style, consistency, and the identity of the first picture of the batch."""
        photos = self.batches.at(number)
        paintings = recolored(self.styles.at(number))
        critic = self.critics.at(number)
        with self.runtime.autocast():
            wanted = stacked([critic.grams(x) for x in (photos[:1], paintings)])
            rows = self.module.head(self.module.predictor(self.seen(photos[:1], paintings)))
            paint = partial(self.module.network, rows=rows)
            results = paint(photos)
            errors = critic.errors(results, photos, wanted)
            same = torch.arange(len(photos), device=photos.device) == 0
            if weight := self.recipe.consistent(number):  # a photo that comes back has its grain
                errors["consistency"] = weight * ~same * inconsistency(paint, photos, results)
        errors["identity"] = self.recipe.identity * same * rebuilt(results, photos)
        return means(errors)

    @torch.no_grad()
    def samples(self, module: AnyStyle) -> Tensor:
        """Photos and paintings that were held out, all with all.  ->  (N, 3, S, S)"""
        photos = self.runtime.tensor(shown(self.data / "photos", 256, 4))
        paintings = self.runtime.tensor(shown(self.data / "paintings", 256, 5))
        seen = [self.seen(image) for image in torch.split(paintings, 1)]
        rows = [module.head(module.predictor(one)) for one in seen]
        ways = [partial(module.paint, row=row[0]) for row in rows]
        return sampled(photos, ways)


def joined(parts: list[TapMoments]) -> TapMoments:
    """Moments of several batches as one."""
    return {
        tap: type(parts[0][tap])(*map(torch.cat, zip(*(part[tap] for part in parts), strict=True)))
        for tap in parts[0]
    }


def trained(job: Job) -> Trained:
    """Train both networks, and judge them in styles that they have never seen."""
    recipe = validate(GhiasiRecipe, job.settings)
    gallery = judge.gallery_files(job.data / "gallery")
    task = GhiasiTask(recipe, job.data, job.teacher, job.runtime)
    painter = train(task, recipe.schedule, job.run, job.runtime, job.on_progress)
    with torch.no_grad():
        seen = [task.seen(job.runtime.tensor(painting(path, judge.SIZE))) for path in gallery]
        rows = [painter.head(painter.predictor(one)) for one in seen]
    metrics = job.judged(
        lambda photo, number: painted(painter.network, job.runtime, photo, rows[number]),
        gallery,
        task.critics.last.eyes,
    )
    config = {
        "width": recipe.width,
        "norm": recipe.norm,
        "judge": task.critics.last.judge,
        "predictor": recipe.predictor,
        "channels": list(task.encoder.shape.channels),
    }
    name = recipe.encoder if recipe.predictor == "moments" else recipe.predictor
    text = card(recipe, metrics, len(task.photos), len(task.paintings))
    return written(painter, recipe, "ghiasi", name, config, metrics, text)


def card(recipe: GhiasiRecipe, metrics: Mapping[str, float], photos: int, paintings: int) -> str:
    """The model card, in Markdown."""
    moments = recipe.predictor == "moments"
    source = f"the moments of the encoder `{recipe.encoder}`" if moments else "Inception-v3"
    return f"""# Ghiasi: any style, predicted

A transformation network of width {recipe.width:g} and a prediction of its scales and shifts from
{source}, by way of an embedding of 100 numbers; trained by
`impasto train recipes/ghiasi.toml` from random weights on {photos:,} photos and {paintings:,}
paintings. Licence: MIT. Use: style transfer in one pass (Ghiasi et al. 2017).

4 photos in 6 styles that were never trained on. {measured(metrics)}
"""
