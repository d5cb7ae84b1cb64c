# What every rule file shares: the checked configuration, the tables, the systems and where things lie.
import json

from workflow.plan.lost import lost_audio
from workflow.plan.schema import check_config
from workflow.plan.sources import code_of
from workflow.record import hours

check_config(
    config,
    f"The configuration (config/{config.get('scale')}.yaml and what lies over it)",
)
SCALE = config["scale"]
MEASURES = config["evaluation"]["metrics"]
PRESETS = preset_files.read_presets()
SYSTEMS = system_entries.read_systems(PRESETS)
references.check_references(PRESETS, SYSTEMS, config)
COMPARED = system_entries.compared(SYSTEMS)
HERE = trainings.models_here(SCALE)
ABSENT = absences.absent(config, SYSTEMS, PRESETS, HERE)
CORRUPTED = preset_files.corrupted(PRESETS)
SCORINGS = wanted.scorings(PRESETS, config, ABSENT)


pathvars:
    data=f"data/{SCALE}",
    models=f"models/{SCALE}",
    results=places.results_folder(SCALE),
    logs=f"logs/{SCALE}",
    benchmarks=f"{places.results_folder(SCALE)}/benchmarks",


wildcard_constraints:
    set="[a-z0-9_]+",
    system="[a-z0-9_]+",
    asr="[a-z0-9_]+",
    metric="[a-z0-9_]+",
    model="[a-z0-9_]+",
    table="[a-z0-9_]+",
