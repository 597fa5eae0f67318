"""What learns in one pass: the transformation network with whatever gives it its rows.

Dumoulin et al. 2016, arXiv:1610.07629, section 2.2: a table with a row for every style. Ghiasi et
al. 2017, arXiv:1705.06830, section 2: a network that predicts the row.
"""

from collections.abc import Callable, Mapping
from typing import TypeVar

from torch import Tensor, nn

from impasto import weights
from impasto.errors import DamagedWeights
from impasto.moments import TapMoments
from impasto.networks.inception import InceptionPredictor
from impasto.networks.normalisation import Norm
from impasto.networks.predictors import Head, MomentsPredictor
from impasto.networks.transformer import EVERY, EXPANSION, Transformer

GALLERY = "gallery"
"""Name of the packaged network of many styles."""


class Painter(nn.Module):
    """A transformation network that is told the row."""

    network: Transformer

    def paint(self, image: Tensor, row: Tensor) -> Tensor:
        """All pictures with one row.  (B, 3, H, W), (row_size,)  ->  (B, 3, H, W)"""
        return self.network(image, row.expand(len(image), -1))  # type: ignore[no-any-return]


class ManyStyles(Painter):
    """One network and the rows of its styles, the last of which gives the photo back."""

    def __init__(self, styles: int, width: float = 0.5, norm: Norm = "instance") -> None:
        super().__init__()
        self.network = Transformer(width, norm, EVERY)
        self.rows = nn.Parameter(self.network.neutral().repeat(styles + 1, 1))

    def forward(self, image: Tensor, labels: Tensor) -> Tensor:
        """Every picture of the batch in the style of its label.  (B, 3, H, W), (B,)"""
        return self.network(image, self.rows[labels])  # type: ignore[no-any-return]


class AnyStyle(Painter):
    """One network and the prediction of its rows from a painting."""

    def __init__(self, predictor: nn.Module, width: float = 0.5, norm: Norm = "instance") -> None:
        super().__init__()
        self.network = Transformer(width, norm, EXPANSION)
        self.predictor = predictor
        self.head = Head(self.network.neutral())

    def forward(self, image: Tensor, seen: TapMoments | Tensor) -> Tensor:
        """Every picture of the batch in the style of its painting.

        image: (B, 3, H, W); seen: what the predictor takes, moments or pictures of B paintings
        """
        return self.network(image, self.head(self.predictor(seen)))  # type: ignore[no-any-return]


def one_style(header: weights.Header) -> Transformer:
    """The network of Johnson et al. that a header describes, without its weights."""
    return Transformer(header.config["width"], header.config["norm"])


def many_styles(header: weights.Header) -> ManyStyles:
    """The network of Dumoulin et al. that a header describes, without its weights."""
    config = header.config
    return ManyStyles(len(config["styles"]), config["width"], config["norm"])


def any_style(header: weights.Header) -> AnyStyle:
    """The network of Ghiasi et al. that a header describes, without its weights."""
    config = header.config
    predictors: Mapping[str, Callable[[], nn.Module]] = {
        "moments": lambda: MomentsPredictor(config["channels"]),
        "inception": InceptionPredictor,
    }
    return AnyStyle(predictors[config["predictor"]](), config["width"], config["norm"])


Network = TypeVar("Network", bound=nn.Module)


def load(
    kind: str, name: str, described: Callable[[weights.Header], Network]
) -> tuple[Network, weights.Header]:
    """A trained network with its header.

    Raises MissingWeights or UnknownName when there is none, DamagedWeights.
    """
    path = weights.find(kind, name)
    tensors, header = weights.read(path)
    try:
        network = described(header)
        network.load_state_dict({key: tensor.float() for key, tensor in tensors.items()})
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise DamagedWeights(f"{path} does not fit a network of {kind}.") from error
    return network.requires_grad_(False).eval(), header
