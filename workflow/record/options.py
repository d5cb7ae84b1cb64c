"""The options that the commands over a run's files share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Results = Annotated[Path, typer.Option(help="the run's folder: results, or results/<scale>")]
Data = Annotated[Path, typer.Option(help="data/<scale>")]
Models = Annotated[Path, typer.Option(help="models/<scale>")]
