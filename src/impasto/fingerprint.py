"""What a Recipe comes to, in a word: the same for the same pictures, another one otherwise."""

import hashlib
import json
from pathlib import Path

from impasto import __version__, methods, weights
from impasto.auto import AUTO
from impasto.errors import DamagedWeights
from impasto.recipe import Recipe
from impasto.regions import ALPHA
from impasto.style import gallery


def fingerprint(recipe: Recipe, *more: object) -> str:
    """Changes with the settings, styles, masks, weights and version, wherever they lie."""
    amounts = [*(s.weight for s in recipe.styles), *(m.weight for m in recipe.masks)]
    looks = [*(share.source for share in recipe.styles), *(m.style for m in recipe.masks)]
    masks = [share.mask for share in recipe.masks]
    settings = recipe.model_dump(exclude={"photo", "styles", "masks"})
    facts: list[object] = [__version__, settings, amounts, *more]
    facts += [_digest(gallery().get(look, Path(look))) for look in looks]
    facts += [mask if mask == ALPHA else _digest(Path(mask)) for mask in masks]
    facts += [_stored(path) for path in _networks(recipe, looks)]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _networks(recipe: Recipe, looks: list[str]) -> list[Path]:
    """Weights that may be used; not those learned for another style alone."""
    kinds = methods.names() if recipe.method == AUTO else [recipe.method]
    others = {weights.file_name(kind, look) for kind in kinds for look in gallery()}
    others -= {weights.file_name(kind, look) for kind in kinds for look in looks}
    own = [path for path in weights.files(*kinds) if path.name not in others]
    encoder = weights.file_name("encoder", recipe.encoder)
    return own + [path for path in weights.files("encoder") if path.name == encoder]


def _stored(path: Path) -> str:
    try:
        return f"{path.name} {weights.read_header(path).sha256}"
    except DamagedWeights:
        return path.name


def _digest(path: Path) -> str:
    """Of a file's content; of nothing where there is none, which is told when it is opened."""
    return hashlib.sha256(path.read_bytes() if path.is_file() else b"").hexdigest()
