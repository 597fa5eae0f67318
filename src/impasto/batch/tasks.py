"""What a process is given to do, and what comes back from it."""

from dataclasses import dataclass, field

from impasto.errors import ImpastoError
from impasto.estimate import WHOLE
from impasto.film import STABLE
from impasto.recipe import Recipe

DIED = "The process died while it painted this, twice; maybe memory ran out."


@dataclass(frozen=True)
class Remote:
    """A photo in a bucket."""

    url: str
    stamp: str
    """Changes with what is in it."""

    def __str__(self) -> str:
        return self.url


@dataclass(frozen=True)
class Manner:
    """How everything is painted."""

    recipe: Recipe
    """Without a photo."""
    quality: int = 95
    """Of JPEG and WebP files, 1 to 100."""
    stable: float = STABLE
    """Of films, 0 to 1."""
    room: float = WHOLE / 2
    """Bytes that painting a film may take, see ``film_job``: little where many processes share a
    machine that nobody has asked."""


@dataclass(frozen=True)
class Task:
    """A photo or film that is to be painted."""

    key: str
    name: str
    source: str
    """A path, or the address of an object in a bucket."""
    target: str
    staged: str
    """What the picture is written to: a path, or the address of an object."""
    film: bool = False
    again: bool = False
    """A process has died with it in hand."""


@dataclass(frozen=True)
class Done:
    """What came of a task; ``reason`` says why there is no picture."""

    key: str
    reason: str = ""
    seconds: float | None = None
    width: int | None = None
    height: int | None = None
    frames: int | None = None
    """Of a film, those painted this time."""
    notices: tuple[str, ...] = ()
    recipe: dict[str, object] = field(default_factory=dict)
    room: int = 1
    """How many like it are painted at once."""


Message = Done | ImpastoError | None
"""None: everything is loaded. An error is one that no other photo would fare better with."""
