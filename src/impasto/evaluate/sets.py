"""FID and ArtFID of the groups of a study: all paintings of a method against all styles."""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from impasto.evaluate.cells import Row
from impasto.evaluate.distributions import art_fid, fid
from impasto.evaluate.intervals import Interval
from impasto.evaluate.summary import Group
from impasto.media.image import read
from impasto.networks.inception import Inception
from impasto.runtime import Runtime


def with_fid(
    groups: Sequence[Group],
    rows: Sequence[Row],
    folder: Path,
    inception: Inception,
    machine: Runtime,
) -> list[Group]:
    """The groups with ``fid``, and ``art_fid`` where there is LPIPS; single figures, no intervals.

    Styles are seen as the control "style" shows them. Groups of one picture stay as they are.
    """

    @lru_cache(4096)
    @torch.no_grad()
    def seen(picture: str) -> Tensor:
        features: Tensor = inception(machine.tensor(read(folder / picture).pixels))
        return features.cpu()

    done = [row for row in rows if row.outcome == "done"]
    styles = {(row.photo, row.style): row.picture for row in done if row.method == "style"}
    result = []
    for group in groups:
        mine = [r for r in done if (r.method, r.strength) == (group.method, group.strength)]
        pairs = [
            (r.picture, styles[r.photo, r.style]) for r in mine if (r.photo, r.style) in styles
        ]
        if len(pairs) > 1:
            painted, wanted = (
                torch.cat([seen(p) for p in side]) for side in zip(*pairs, strict=True)
            )
            group = _with(group, fid(painted, wanted))
        result.append(group)
    return result


def _with(group: Group, distance: float) -> Group:
    figures = {"fid": distance}
    if "lpips" in group.means:
        figures["art_fid"] = art_fid(group.means["lpips"].mean, distance)
    points = {name: Interval(value, value, value) for name, value in figures.items()}
    return replace(group, means={**group.means, **points})
