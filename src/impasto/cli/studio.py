"""Commands of the studio: ``serve`` and ``worker``."""

import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from impasto.config import flags, validate
from impasto.errors import BadInput
from impasto.studio.limits import Limits

Command = Callable[..., Any]

SETTINGS = {"auto_envvar_prefix": "IMPASTO_STUDIO", "show_default": True}
"""Every option is also a variable, such as IMPASTO_STUDIO_PORT."""

PACKAGES = ("dbos", "fastapi", "httpx", "obstore", "prometheus_client", "uvicorn")


def places(command: Command) -> Command:
    """The options that say where things are kept and what paints; ``serve`` and ``worker``."""
    options = (
        click.option("--data", type=click.Path(path_type=Path), help="Folder of the studio."),
        click.option("--database", metavar="URL", help="postgresql://USER@HOST/NAME [SQLite]."),
        click.option("--storage", metavar="URL", help="Folder or s3://BUCKET/PREFIX [in --data]."),
        click.option("--device", default="auto", metavar="auto|cpu|cuda|mps", help="What paints."),
    )
    command = flags(Limits, *Limits.model_fields)(command)
    for option in reversed(options):
        command = option(command)
    return command


@click.command(context_settings=SETTINGS)
@click.option("--host", default="127.0.0.1", help="Address; any but this machine's own: a token.")
@click.option("--port", default=8000, type=click.IntRange(0, 65535), help="0: any that is free.")
@click.option("--token", help="What visitors have to know [made up, where one is needed].")
@click.option("--allow-host", "allowed", multiple=True, help="A further name of this server.")
@click.option("--workers", type=click.IntRange(0, 64), help="Processes that paint [by devices].")
@click.option("--open/--no-open", "browser", default=False, help="Show it in the browser.")
@places
def serve(
    host: str,
    port: int,
    token: str | None,
    allowed: tuple[str, ...],
    workers: int | None,
    browser: bool,
    data: Path | None,
    database: str | None,
    storage: str | None,
    device: str,
    **limits: object,
) -> None:
    """Open the studio: a page and an HTTP service, with workers that paint.

    \b
    impasto serve
    impasto serve --host 0.0.0.0 --allow-host studio.example.org
    """
    check_packages()
    import logging

    from impasto.studio.metrics import start_log
    from impasto.studio.serve import Settings
    from impasto.studio.serve import serve as run

    settings = Settings(
        data=data or default_data(),
        host=host,
        port=port,
        database=database,
        storage=storage,
        token=token,
        allowed=allowed,
        device=check_device(device),
        workers=workers,
        limits=given(limits),
    )
    start_log(logging.WARNING if sys.stderr.isatty() else logging.INFO)
    run(settings, click.echo, click.launch if browser else None)


@click.command(context_settings=SETTINGS)
@click.option("--threads", type=click.IntRange(1, 1024), help="Cores to use [all].")
@click.option("--with-parent", type=int, hidden=True)
@places
def worker(
    threads: int | None,
    with_parent: int | None,
    data: Path | None,
    database: str | None,
    storage: str | None,
    device: str,
    **limits: object,
) -> None:
    """Paint what a studio has in its queue, on this machine or another.

    \b
    impasto worker --database postgresql://impasto@db/impasto --storage s3://bucket/impasto
    """
    check_packages()
    from impasto.studio.serve import Settings
    from impasto.studio.worker import run

    settings = Settings(data=data or default_data(), database=database, storage=storage)
    settings.data.mkdir(parents=True, exist_ok=True)
    run(
        settings.database_url,
        settings.storage_url,
        settings.data,
        check_device(device),
        given(limits),
        threads,
        with_parent,
    )


def check_packages() -> None:
    """Raise BadInput where the extra ``studio`` is missing."""
    if any(find_spec(package) is None for package in PACKAGES):
        raise BadInput(
            "The studio needs packages that are not installed: pip install 'impasto[studio]'"
        )


def check_device(device: str) -> str:
    """The same device.  Raises UnknownName where it is none."""
    from impasto.recipe import Recipe

    return validate(Recipe, {"device": device}).device


def given(limits: dict[str, object]) -> Limits:
    """The limits of the flags that were given.  Raises BadInput."""
    return validate(Limits, {name: value for name, value in limits.items() if value is not None})


def default_data() -> Path:
    """Beside the user's weights."""
    from impasto.weights import user_folder

    return user_folder().parent / "studio"
