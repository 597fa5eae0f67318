"""A finished scale of an optimisation in a file, so that a killed one goes on from there."""

import json
from pathlib import Path

from impasto.stylizer import Step


def write_scale(path: Path, step: Step, work: float) -> None:
    """Write the step that ended a scale, all of it or nothing; ``work``: megapixels so far."""
    from safetensors.torch import save

    from impasto.files import replacing

    about = json.dumps({"done": step.done, "total": step.total, "work": work})
    image = step.image.detach().float().cpu().contiguous()
    with replacing(path) as file:
        file.write(save({"image": image}, {"step": about}))


def read_scale(path: Path) -> tuple[Step, float]:
    """The step and the work of ``write_scale``."""
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        about = json.loads(file.metadata()["step"])
        image = file.get_tensor("image")
    return Step(about["done"], about["total"], image, scale_done=True), about["work"]
