"""Limits: what a studio takes on, in sizes, numbers and time."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class Limits(BaseModel):
    """What one studio takes on. Every field is told to clients by ``GET /v1/limits``."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    upload_bytes: Annotated[int, Field(gt=0, description="Bytes of a picture.")] = 40_000_000
    pixels: Annotated[int, Field(gt=0, description="Pixels of a picture.")] = 50_000_000
    film_bytes: Annotated[int, Field(gt=0, description="Bytes of a film.")] = 200_000_000
    film_seconds: Annotated[float, Field(gt=0, description="Seconds of a film.")] = 60.0
    size: Annotated[int, Field(gt=0, description="Long side of a result, pixels.")] = 4096
    iterations: Annotated[int, Field(gt=0, description="Steps of an optimisation.")] = 2000
    styles: Annotated[int, Field(gt=0, description="Styles in one mix, masks included.")] = 16
    queue: Annotated[int, Field(gt=0, description="Jobs that wait, of all visitors.")] = 100
    own: Annotated[int, Field(gt=0, description="Jobs that wait, of one visitor.")] = 20
    ttl_seconds: Annotated[
        float, Field(gt=0, description="Seconds until a result or an upload is deleted.")
    ] = 24 * 3600.0
    job_seconds: Annotated[float, Field(gt=0, description="Seconds that a job may take.")] = 1800.0
    memory_mb: Annotated[float, Field(gt=0, description="Memory of what paints, MB.")] = 4000.0
