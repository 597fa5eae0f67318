"""Optimisation, ours beside the plain way, in one run: error against time, and the ratio of times.

    python benchmarks/gatys.py [--size 512] [--photo astronaut] [--style starry-night]

The plain way is what the classic implementations do: the same encoder and the same losses, float32,
NCHW, eager, one scale, from the photo, L-BFGS; until it has reached both of our errors, or 1,000
steps. Errors are measured by the same float32 encoder for both, outside the clock.
"""

import argparse
import json
import platform
import time
from collections.abc import Callable
from pathlib import Path

import torch
from skimage import data
from torch import Tensor

from impasto.codes import at
from impasto.estimate import peak_mb
from impasto.losses import content_error, gram_error, style_error, total_variation
from impasto.media.image import resize, scaled, to_tensor
from impasto.methods.gatys import Config, Gatys
from impasto.moments import gram
from impasto.networks.encoders import TAPS, load_encoder
from impasto.runtime import runtime
from impasto.style import named
from impasto.stylizer import Step

LIMIT = 1000
Curve = list[tuple[float, int, float, float]]
"""Seconds, step, style_error, content_error."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--photo", default="astronaut")
    parser.add_argument("--style", default="starry-night")
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results"))
    args = parser.parse_args()
    photo = to_tensor(getattr(data, args.photo)())
    photo = scaled(photo, args.size)
    judge = Judge(photo, args.style)
    ours = impasto(photo, args.style, judge)
    plain = plain_way(photo, args.style, judge, until=ours[-1][2:])
    for name, curve in (("impasto", ours), ("plain", plain)):
        print(f"\n{name}: seconds, step, style_error, content_error")
        for seconds, step, style, content in curve:
            print(f"{seconds:8.1f} {step:5d} {style:9.4f} {content:8.3f}")
    reached = plain[-1][2] <= ours[-1][2] and plain[-1][3] <= ours[-1][3]
    print(f"\nratio of times {plain[-1][0] / ours[-1][0]:.1f}, plain way got there: {reached}")
    save(args, ours, plain, reached)


class Judge:
    """Measures pictures in float32, the same for everyone."""

    def __init__(self, photo: Tensor, style: str) -> None:
        self.encoder = load_encoder("compact")
        self.targets = {t: m.second for t, m in named(style).at(max(photo.shape[-2:])).items()}
        self.photo = photo

    @torch.no_grad()
    def __call__(self, image: Tensor) -> tuple[float, float]:
        if image.shape != self.photo.shape:
            image = resize(image, (self.photo.shape[-2], self.photo.shape[-1]))
        features = self.encoder(image.float().contiguous(), TAPS)
        content = self.encoder(self.photo, ("relu4_1",))["relu4_1"]
        style = style_error({t: gram(f) for t, f in features.items()}, self.targets)
        return float(style), float(content_error(features["relu4_1"], content))


class Clock:
    """Time of the work alone: measuring stops it."""

    def __init__(self) -> None:
        self.spent, self.since = 0.0, time.perf_counter()

    def aside(self, measure: Callable[[], tuple[float, float]]) -> tuple[float, float, float]:
        self.spent += time.perf_counter() - self.since
        errors = measure()
        self.since = time.perf_counter()
        return self.spent, *errors


def impasto(photo: Tensor, style: str, judge: Judge) -> Curve:
    """Our way, with default settings."""
    method = Gatys(load_encoder("compact"), runtime())
    code = method.encode(named(style))
    method.rehearse(torch.rand(1, 3, 128, 128))
    curve: Curve = []
    clock = Clock()

    def watch(step: Step) -> None:
        if step.done % 25 == 0 or step.done == step.total:
            seconds, *errors = clock.aside(lambda: judge(step.image))
            curve.append((seconds, step.done, errors[0], errors[1]))

    method.stylize(photo, code, on_step=watch)
    return curve


def plain_way(photo: Tensor, style: str, judge: Judge, until: tuple[float, float]) -> Curve:
    """One scale, float32, L-BFGS, from the photo."""
    encoder, config = load_encoder("compact"), Config()
    code = Gatys(encoder, runtime("cpu", "fp32")).encode(named(style))
    targets = at(code, max(photo.shape[-2:]))
    with torch.no_grad():
        content = encoder(photo, config.content)
    image = photo.clone().requires_grad_()
    optimiser = torch.optim.LBFGS([image], max_iter=1, history_size=100)

    def closure() -> Tensor:
        optimiser.zero_grad()
        features = encoder(image, {*TAPS, *config.content})
        loss = config.variation * total_variation(image)
        for tap, target in targets.items():
            loss = loss + config.style[tap] * gram_error(gram(features[tap]), target)
        for tap, weight in config.content.items():
            loss = loss + weight * content_error(features[tap], content[tap])
        loss.sum().backward()
        return loss.sum()

    curve: Curve = []
    clock = Clock()
    for step in range(1, LIMIT + 1):
        optimiser.step(closure)
        if step % 25 == 0:
            seconds, *errors = clock.aside(lambda: judge(image.detach().clamp(0, 1)))
            curve.append((seconds, step, errors[0], errors[1]))
            if errors[0] <= until[0] and errors[1] <= until[1]:
                break
    return curve


def save(args: argparse.Namespace, ours: Curve, plain: Curve, reached: bool) -> None:
    args.results.mkdir(parents=True, exist_ok=True)
    row = {
        "benchmark": "gatys",
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads",
        "torch": torch.__version__,
        "photo": args.photo,
        "style": args.style,
        "size": args.size,
        "ours": ours,
        "plain": plain,
        "plain_reached": reached,
        "ratio": plain[-1][0] / ours[-1][0],
        "peak_mb": peak_mb(),
    }
    path = args.results / f"gatys-{args.photo}-{args.style}-{args.size}.json"
    path.write_text(json.dumps(row, indent=1) + "\n")


if __name__ == "__main__":
    main()
