"""Every figure of a painting by name: what it says, which way is better, and who defined it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from impasto.networks.encoders import TAPS


@dataclass(frozen=True)
class Metric:
    """What a reader has to know of a figure."""

    meaning: str
    better: Literal["lower", "higher"]
    range: str
    source: str
    about: Literal["style", "content", "artefacts", "both"]
    of: Literal["picture", "set"] = "picture"
    """set: of all paintings of a method together."""


def _tap_metrics() -> dict[str, Metric]:
    gatys = "Gatys et al. 2016, eq. ({})"
    style, content = gatys.format("4"), gatys.format("1")
    found = {}
    for tap in TAPS:
        meaning = f"the share of style_error that lies at {tap}"
        found[f"style_error/{tap}"] = Metric(meaning, "lower", "0 and up", style, "style")
    for tap in TAPS:
        meaning = f"squared distance of the features of {tap} from the photo's, relative"
        found[f"content_error/{tap}"] = Metric(meaning, "lower", "0 and up", content, "content")
    return found


METRICS: Mapping[str, Metric] = {
    "style_error": Metric(
        "squared distance of the Gram matrices from the style's, relative, sum over five layers",
        "lower",
        "0 and up; 5 is as far as nothing at all",
        "Gatys et al. 2016, eq. (5)",
        "style",
    ),
    "content_error": Metric(
        "squared distance of the features of relu4_1 from the photo's, relative",
        "lower",
        "0 and up; 1 is as far as nothing at all",
        "Gatys et al. 2016, eq. (1)",
        "content",
    ),
    "mean_std_loss": Metric(
        "distance of the means and deviations of features from the style's, four layers",
        "lower",
        "0 and up, in the encoder's own units",
        "Huang & Belongie 2017, eq. (13)",
        "style",
    ),
    "feature_distance": Metric(
        "sliced Wasserstein distance of the features from the style's, mean over five layers",
        "lower",
        "0 to 1",
        "Heitz et al. 2021",
        "style",
    ),
    "patch_distance": Metric(
        "sliced Wasserstein distance of 8 x 8 patches from the style's, mean over four octaves",
        "lower",
        "0 to 1",
        "Karras et al. 2018",
        "style",
    ),
    "histogram_distance": Metric(
        "how far colours are from the style's distribution, mean over the channels of CIELAB",
        "lower",
        "0 and up; 33 is from black to white",
        "Rubner et al. 2000",
        "style",
    ),
    "ssim": Metric(
        "likeness of the structure of luma to the photo's",
        "higher",
        "-1 to 1",
        "Wang et al. 2004",
        "content",
    ),
    "edge_ssim": Metric(
        "likeness of the edges to the photo's, whatever the colours",
        "higher",
        "-1 to 1",
        "after Chen et al. 2006",
        "content",
    ),
    "cfsd": Metric(
        "whether places of the photo that are alike are alike still",
        "lower",
        "0 and up, nats",
        "Chung et al. 2024",
        "content",
    ),
    "lpips": Metric(
        "perceptual distance from the photo (AlexNet); needs imported weights",
        "lower",
        "0 to about 1",
        "Zhang et al. 2018",
        "content",
    ),
    "blobs": Metric(
        "spots of outstanding energy where the photo is flat",
        "lower",
        "a count",
        "Impasto",
        "artefacts",
    ),
    "checkerboard": Metric(
        "share of the energy at the highest frequencies",
        "lower",
        "0 to 1",
        "Impasto, after Odena et al. 2016",
        "artefacts",
    ),
    "border": Metric(
        "energy of the outermost pixels over that within",
        "lower",
        "0 and up; 1 is like everywhere",
        "Impasto",
        "artefacts",
    ),
    **_tap_metrics(),
    "fid": Metric(
        "distance of all paintings from all styles, by Inception-v3; needs imported weights",
        "lower",
        "0 and up",
        "Heusel et al. 2017",
        "style",
        "set",
    ),
    "art_fid": Metric(
        "(1 + LPIPS) (1 + FID)",
        "lower",
        "1 and up",
        "Wright & Ommer 2022",
        "both",
        "set",
    ),
}
"""Every figure, in the order in which a table shows them."""

Figures = dict[str, float | None]
"""By the names of METRICS; None where what it needs is not there."""
