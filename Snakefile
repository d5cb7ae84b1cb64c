import sys
from pathlib import Path

from snakemake.utils import min_version

min_version("9.20")
sys.path.insert(0, workflow.basedir)

# The scale's own file comes first; --configfile and --config lie over it.
scale_config = Path("config", f"{config.get('scale', 'nano')}.yaml")
if scale_config.exists():

    configfile: scale_config


include: "workflow/rules/common.smk"
include: "workflow/rules/corpora.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/audio.smk"
include: "workflow/rules/scores.smk"
include: "workflow/rules/tables.smk"


rule all:
    default_target: True
    input:
        "<results>/table3.csv",
