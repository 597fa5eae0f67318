"""Distillation of the compact encoder from VGG-19.

Each tap of the student goes through a linear 1 x 1 map (thrown away afterwards) into the teacher's
channels; the error is relative to the teacher's variance. That alone is not enough for an encoder
that pictures are *optimised* on: optimisation finds what the student does not see. So half of
each batch are pictures that optimisation visits (``Visits``: paintings in progress on the current
student). Layers between the taps are learned too (``HINTS``); they only speed things up.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from impasto.losses import content_error, gram_error, total_variation
from impasto.moments import gram
from impasto.networks.encoders import TAPS, Encoder
from impasto.training.teachers import EXACT_TAPS, Teachers

HINTS = (
    "relu1_2",
    "relu2_2",
    "relu3_2",
    "relu3_3",
    "relu3_4",
    "relu4_2",
    "relu4_3",
    "relu4_4",
)
"""Layers between the taps that are learned too: each is then one step from the last."""


class Student(nn.Module):
    """The encoder that is trained, with its throw-away maps into the teachers' channels."""

    def __init__(self, encoder: Encoder, teachers: Teachers) -> None:
        super().__init__()
        self.encoder = encoder
        blank = torch.zeros(1, 3, 32, 32)
        mine = encoder(blank, TAPS + HINTS)
        self.to_slim = _maps(mine, teachers.features(blank, TAPS + HINTS))
        self.to_exact = _maps(mine, teachers.exact(blank, EXACT_TAPS))


def _maps(mine: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> nn.ModuleDict:
    """A 1 x 1 convolution per layer; names have no dots, as module names must."""
    return nn.ModuleDict(
        {layer: nn.Conv2d(mine[layer].shape[1], f.shape[1], 1) for layer, f in theirs.items()}
    )


class Census:
    """Which filters have fired since the last count; those that never did are given a new start.

    A filter whose ReLU is never positive gets no gradient and stays dead. It is drawn anew, with
    all weights that read it at zero, so what the network computes does not change.
    """

    def __init__(self, student: Student) -> None:
        encoder = student.encoder
        self.student = student
        self.fired = {
            layer: torch.zeros_like(_bias(encoder.convs[layer[4:]]), dtype=torch.bool)
            for layer in encoder.layers
        }

    @torch.no_grad()
    def count(self, features: Mapping[str, Tensor]) -> None:
        """Note who fires.  features: {layer: (B, C, H, W)}"""
        for layer, f in features.items():
            self.fired[layer] |= f.amax((0, 2, 3)) > 0

    @torch.no_grad()
    def revive(self) -> int:
        """Give dead filters a new start and begin to count anew.  ->  how many there were"""
        names = list(self.student.encoder.convs)
        total = 0
        for name, reader in zip(names, [*names[1:], ""], strict=True):
            layer = f"relu{name}"
            dead = ~self.fired[layer]
            total += int(dead.sum())
            conv = _conv(self.student.encoder.convs[name])
            fresh = nn.init.kaiming_normal_(torch.empty_like(conv.weight), nonlinearity="relu")
            conv.weight[dead] = fresh[dead]
            _bias(conv)[dead] = 0
            readers = [self.student.encoder.convs[reader]] if reader else []
            for maps in (self.student.to_slim, self.student.to_exact):
                readers += [maps[layer]] if layer in maps else []
            for module in readers:
                _conv(module).weight[:, dead] = 0
            self.fired[layer].zero_()
        return total


def _conv(module: nn.Module) -> nn.Conv2d:
    assert isinstance(module, nn.Conv2d)
    return module


def _bias(module: nn.Module) -> Tensor:
    bias = _conv(module).bias
    assert bias is not None
    return bias


def relative_error(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean squared error over the target's variance per channel, both over batch and positions.

    prediction, target: (B, C, H, W)  ->  scalar; 1 - this is the R2 of the tap
    """
    prediction, target = prediction.float(), target.float()
    spread = (target - target.mean((0, 2, 3), keepdim=True)).square().mean()
    return (prediction - target).square().mean() / spread.clamp_min(1e-8)


@torch.no_grad()
def disturb(images: Tensor) -> Tensor:
    """Half of the pictures noisy, mixed with a neighbour, with swapped channels or other light.

    images: (B, 3, H, W)  ->  (B, 3, H, W)
    """
    out = []
    for index, image in enumerate(images):
        kind = int(torch.randint(8, ()))
        if kind == 0:
            amount = 0.15 * float(torch.rand(()))
            image = image + amount * torch.randn(image.shape).to(image)
        elif kind == 1:
            share = float(torch.rand(()))
            image = share * image + (1 - share) * images[index - 1]
        elif kind == 2:
            image = image[torch.randperm(3).to(image.device)]
        elif kind == 3:
            gain, lift = (0.5 + torch.rand((2, 3, 1, 1))).to(image)
            image = image * gain + (lift - 1) * 0.6
        out.append(image)
    return torch.stack(out).clamp(0, 1)


class VisitSettings(BaseModel):
    """How the pool of paintings in progress is kept."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    pool: int = Field(48, ge=1)
    """How many paintings there are."""
    steps: int = Field(3, ge=1)
    """Adam steps that a painting is taken further each time it is drawn."""
    longest_life: int = Field(240, ge=1)
    """Steps after which a painting is replaced at the latest."""


class Visits:
    """A pool of paintings in progress on the current student.

    Every call takes a few of them some Adam steps further (each with its own style, content weight,
    learning rate and age) and hands them out to be learned from. A painting that has lived its
    time is replaced by a new one, which starts from a photo, from noise or from another painting.
    """

    def __init__(self, settings: VisitSettings, size: int, device: torch.device) -> None:
        n = settings.pool
        self.settings = settings
        shape = (n, 3, size, size)
        self.image, self.start, self.style = (torch.zeros(shape, device=device) for _ in range(3))
        self.m, self.v = torch.zeros(shape, device=device), torch.zeros(shape, device=device)
        self.age = torch.zeros(n)
        self.life = torch.zeros(n)
        self.rate = torch.zeros(n, device=device)
        self.content = torch.zeros(n, device=device)

    def state_dict(self) -> dict[str, Tensor]:
        """Everything that a resumed run needs."""
        return {k: v for k, v in vars(self).items() if isinstance(v, Tensor)}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Put back what ``state_dict`` gave."""
        for name, mine in self.state_dict().items():
            setattr(self, name, state[name].to(mine.device))

    def advance(self, encoder: Encoder, fresh: Tensor, styles: Tensor) -> Tensor:
        """Some steps further with as many paintings as ``fresh`` has pictures.

        fresh, styles: (B, 3, S, S), for paintings that begin anew  ->  (B, 3, S, S)
        """
        chosen = torch.randperm(self.settings.pool)[: len(fresh)]
        for slot, photo, style in zip(chosen.tolist(), fresh, styles, strict=True):
            if self.age[slot] >= self.life[slot]:
                self._begin(slot, photo, style)
        image = self._optimise(encoder, chosen)
        self.age[chosen] += self.settings.steps
        return image

    def _begin(self, slot: int, photo: Tensor, style: Tensor) -> None:
        def uniform(low: float, high: float) -> float:
            return low + (high - low) * float(torch.rand(()))

        small = F.interpolate(photo[None], scale_factor=0.5, mode="bilinear", antialias=True)
        soft = F.interpolate(small, photo.shape[-2:], mode="bilinear")[0]
        noise = torch.rand(photo.shape).to(photo)
        kind = int(torch.randint(6, ()))
        begin = {0: noise, 1: 0.5 * noise + 0.5 * photo, 2: soft}.get(kind, photo)
        self.image[slot], self.start[slot], self.style[slot] = begin, photo, style
        self.m[slot], self.v[slot], self.age[slot] = 0, 0, 0
        self.life[slot] = int(uniform(0.05, 1.0) * self.settings.longest_life)
        self.rate[slot] = 10 ** uniform(-2.1, -1.3)
        self.content[slot] = 10 ** uniform(-2.0, -0.3)

    def _optimise(self, encoder: Encoder, chosen: Tensor) -> Tensor:
        where = chosen.to(self.image.device)
        encoder.requires_grad_(False)
        with torch.no_grad():
            targets = {tap: gram(f) for tap, f in encoder(self.style[where]).items()}
            content = encoder(self.start[where], ("relu4_1",))["relu4_1"]
        image, m, v = self.image[where], self.m[where], self.v[where]
        age = self.age[chosen].to(image.device)[:, None, None, None]
        rate = self.rate[where][:, None, None, None]
        for step in range(1, self.settings.steps + 1):
            image = image.detach().requires_grad_()
            features = encoder(image)
            loss = total_variation(image)
            for tap, target in targets.items():
                loss = loss + gram_error(gram(features[tap]), target)
            loss = loss + self.content[where] * content_error(features["relu4_1"], content)
            (gradient,) = torch.autograd.grad(loss.sum(), image)
            m = 0.9 * m + 0.1 * gradient
            v = 0.99 * v + 0.01 * gradient.square()
            t = age + step
            update = (m / (1 - 0.9**t)) / ((v / (1 - 0.99**t)).sqrt() + 1e-8)
            image = (image.detach() - rate * update).clamp(0, 1)
        encoder.convs.requires_grad_(True)
        self.image[where], self.m[where], self.v[where] = image, m, v
        return image


def distillation_losses(
    student: Student, teachers: Teachers, census: Census, images: Tensor, exact: Tensor
) -> dict[str, Tensor]:
    """Relative error at every tap and hint of the slim teacher, and at the taps of the exact one.

    images: (B, 3, H, W); exact: (K, 3, H, W), the pictures the exact teacher looks at too
    """
    mine = student.encoder(images, TAPS + HINTS)
    census.count(mine)
    mine_exact = student.encoder(exact, EXACT_TAPS)
    with torch.no_grad():
        theirs = teachers.targets(images, TAPS + HINTS)
        theirs_exact = teachers.exact(exact, EXACT_TAPS)
    losses = {
        f"slim/{layer}": relative_error(student.to_slim[layer](f), theirs[layer])
        for layer, f in mine.items()
    }
    for layer, f in mine_exact.items():
        prediction = student.to_exact[layer](f)
        losses[f"exact/{layer}"] = relative_error(prediction, theirs_exact[layer])
    return losses
