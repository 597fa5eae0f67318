"""Which method a Recipe means: its own, or the fastest whose pictures hold up beside gatys."""

from collections.abc import Mapping, Sequence
from contextlib import suppress

from impasto import methods
from impasto.errors import BadInput, MissingWeights, UnknownName
from impasto.networks.encoders import Encoder
from impasto.recipe import Recipe
from impasto.runtime import Runtime
from impasto.style import Style
from impasto.stylizer import Stylizer

AUTO = "auto"

ORDER = ("johnson", "dumoulin", "ghiasi", "adain", "wct", "gatys")
"""Fast first; of the three that take any style the one with the better table (docs/controls.md)."""


def method_for(
    recipe: Recipe, styles: Mapping[str, Style], encoder: Encoder, machine: Runtime
) -> Stylizer:
    """The method that the Recipe names, or for ``auto`` the one that suits the styles.

    Raises BadInput where it cannot paint in integers and has been asked to.
    """
    if recipe.method == AUTO:
        method = choose(recipe, [*styles.values()], encoder, machine)
    else:
        method = methods.get(recipe.method).create(encoder, machine, recipe)
    if recipe.precision == "int8" and not suits_int8(recipe, method):
        having = ", ".join(name for name in methods.names() if methods.get(name).can.int8)
        raise BadInput(
            f"--precision int8 is for whole pictures in one style at full strength, by {having}; "
            f"this is by {method.name}. Use --precision auto."
        )
    return method


def suits_int8(recipe: Recipe, method: Stylizer) -> bool:
    """Whether one network, or one style of it, paints it all: ranges of integers hold for that."""
    strength = method.strength if recipe.strength is None else recipe.strength
    return method.can.int8 and strength == 1 and not recipe.masks


def choose(recipe: Recipe, styles: Sequence[Style], encoder: Encoder, machine: Runtime) -> Stylizer:
    """The first method of ``ORDER`` that has learned the styles, the controls and its weights.

    A network for each style serves one style at full strength: between two, or between photo and
    style, dumoulin has a picture and johnson a double exposure. Quality ``best`` is gatys.

    Raises BadInput for controls of different methods at once.
    """
    wanted = demanded(recipe)
    for name in ORDER:
        method = methods.get(name)
        if name == "johnson" and (len(styles) > 1 or recipe.strength not in (None, 1.0)):
            continue
        with suppress(MissingWeights, UnknownName):
            if wanted <= method.can.options and all(map(method.knows, styles)):
                return method.create(encoder, machine, recipe)
    controls = ", ".join(f"--{name.replace('_', '-')}" for name in sorted(wanted))
    raise BadInput(f"No method has all of {controls}. Leave one out, or choose a --method.")


def demanded(recipe: Recipe) -> frozenset[str]:
    """The settings of a Recipe that only some methods know; a lesser quality than best is none."""
    options = frozenset[str]().union(*(methods.get(name).can.options for name in methods.names()))
    given = {f for f in options if getattr(recipe, f) != Recipe.model_fields[f].default}
    return frozenset(given - {"quality"} if recipe.quality != "best" else given)
