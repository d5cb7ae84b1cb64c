import os
import sys
from pathlib import Path

from snakemake.utils import min_version

min_version("9.20")
sys.path.insert(0, workflow.basedir)


# Sources, data and results lie beside this file, wherever the command is given (`snakemake -s .../Snakefile`).
workdir: workflow.basedir


from speechbase.files import UserError, check_output, read_yaml
from workflow.plan import (
    absences,
    configuration,
    corpus_parts,
    places,
    preset_files,
    references,
    system_entries,
    trainings,
    wanted,
)

if not Path("workflow").is_dir():
    raise UserError(
        f"{Path.cwd()} is no checkout of this project: leave out --directory, or copy the sources there."
    )

try:
    check_output(Path.cwd() / ".snakemake", folder=True)
except UserError as error:
    raise UserError(
        f"{error} Results lie beside the sources: run the workflow in a copy of this checkout that is yours."
    ) from None

# --configfile and --config lie over the scale's own file, and that over what all scales share.
config.update(
    configuration.resolve(
        configuration.said(dict(config), workflow.config_settings.config_args or ())
    )
)


include: "workflow/rules/common.smk"
include:
    "workflow/rules/paper.smk"
    if "recorded" in config["corpus"]
    else "workflow/rules/corpora.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/audio.smk"
include: "workflow/rules/scores.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/toy.smk"
include: "workflow/rules/beyond.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/listening.smk"
include: "workflow/rules/checks.smk"


rule all:
    default_target: True
    input:
        rules.report.input,
        rules.beyond.input,
        "<results>/licences.md",
