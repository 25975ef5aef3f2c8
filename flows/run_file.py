"""run-file: from one's own file, folder or bucket to a served model; the configuration is guessed from a look at the data."""

# isort: off
import flows.at_home  # noqa: F401  before Prefect, which reads its settings once

# isort: on
from typing import Annotated

from prefect.logging import get_run_logger
from pydantic import Field

from flows.flow import flow
from flows.own_data import infer, keep
from flows.parameters import Overrides, StorageUrl
from flows.pipeline import pipeline
from flows.results import Result

Url = Annotated[
    str, Field(description="A file, folder, archive or glob: a path, s3://bucket/file.parquet, or another fsspec URL")
]
Target = Annotated[str, Field(description="The column to predict; folders of labelled files need none")]
Text = Annotated[str, Field(description="The column of texts to learn from; empty: decided by a look at the columns")]
Name = Annotated[str, Field(description="The model's name in the registry; empty: from the file's name")]


@flow(name="run-file")
def run_file(
    url: Url,
    target: Target = "",
    text: Text = "",
    name: Name = "",
    overrides: Overrides = None,
    storage: StorageUrl = "",
) -> Result:
    """From somebody's own data to a served model: look at a sample, choose a configuration and say why, then run the pipeline."""
    wishes = {**(overrides or {}), **({"storage.url": storage} if storage else {})}
    own = infer(url, target, text, name, wishes)
    path = keep(own)
    get_run_logger().info("%s\n%s", own.told, f"configuration: {path}")
    result = pipeline(config=own.config)
    return result.state()  # pyright: ignore[reportReturnType]  # Prefect gives the caller its data
