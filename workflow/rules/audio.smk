# One job is one system on one test set: every utterance of the manifest, or a row that says why not.


rule speechop_audio:
    input:
        manifest="<data>/testsets/{set}.csv",
        codec="<models>/codec/model.safetensors",
        model=lambda wildcards: f"<models>/{SYSTEMS[wildcards.system]['model']}/model.safetensors",
        transcripts=lambda wildcards: wanted.transcripts_for(
            config, SYSTEMS, wildcards.set, wildcards.system, CORRUPTED
        ),
        lost=lambda wildcards: lost_audio(SCALE, wildcards.set, wildcards.system),
    output:
        index="<results>/audio/{set}/{system}/index.csv",
        record="<results>/audio/{set}/{system}/provenance.json",
    log:
        "<logs>/audio/{set}/{system}.log",
    benchmark:
        "<benchmarks>/audio/{set}/{system}.tsv"
    wildcard_constraints:
        system=places.any_of(SYSTEMS.keys() - COMPARED.keys()),
    priority: 1  # what others wait for goes before their scores
    conda:
        "../../environment.yml"
    resources:
        mem_mb=4000,
        gpu=config["resources"]["gpu"],
    params:
        code=code_of("speechop.system"),
        system=lambda wildcards: json.dumps(
            system_entries.sampling_settings(config, SYSTEMS[wildcards.system])
        ),
        models=lambda wildcards, input: Path(input.codec).parent.parent,
        out=lambda wildcards, output: Path(output.index).parent,
        transcripts=lambda wildcards, input: (
            ["--transcripts", input.transcripts] if input.transcripts else []
        ),
    shell:
        "python -m workflow.record.job --log {log:q} --record {output.record:q} --settings {params.system:q}"
        " --inputs {input.manifest:q} {input.codec:q} {input.model:q} {input.transcripts:q}"
        " --outputs {output.index:q} --"
        " python -m speechop.system --manifest {input.manifest:q} --system {params.system:q}"
        " --models {params.models:q} --out {params.out:q} {params.transcripts:q}"


rule baseline_audio:
    input:
        manifest="<data>/testsets/{set}.csv",
        lost=lambda wildcards: lost_audio(SCALE, wildcards.set, wildcards.system),
        card=lambda wildcards: system_entries.card_file(SYSTEMS, wildcards.system),
        models=lambda wildcards: [
            f"<models>/{model}/model.safetensors"
            for model in system_entries.models_of(SYSTEMS, wildcards.system)
        ],
        transcripts=lambda wildcards: wanted.transcripts_for(
            config, SYSTEMS, wildcards.set, wildcards.system, CORRUPTED
        ),
    output:
        index="<results>/audio/{set}/{system}/index.csv",
        record="<results>/audio/{set}/{system}/provenance.json",
    log:
        "<logs>/audio/{set}/{system}.log",
    benchmark:
        "<benchmarks>/audio/{set}/{system}.tsv"
    wildcard_constraints:
        system="|".join(COMPARED),
    priority: 1  # what others wait for goes before their scores
    conda:
        "../../environment.yml"
    resources:
        mem_mb=2000,
    params:
        code=lambda wildcards: code_of(
            "speechbase.systems.runner",
            "baselines.registry",
            f"baselines/{COMPARED[wildcards.system]['method']}/*.py",
        ),
        out=lambda wildcards, output: Path(output.index).parent,
        config=lambda wildcards: json.dumps(
            system_entries.compared_settings(config, SYSTEMS, wildcards.system)
        ),
        which=lambda wildcards: system_entries.which(COMPARED[wildcards.system]),
        transcripts=lambda wildcards, input: (
            ["--transcripts", input.transcripts] if input.transcripts else []
        ),
    shell:
        "python -m workflow.record.job --log {log:q} --record {output.record:q} --settings {params.config:q}"
        " --inputs {input.manifest:q} {input.card:q} {input.models:q} {input.transcripts:q}"
        " --outputs {output.index:q} --"
        " python -m baselines run {params.which:q} --manifest {input.manifest:q}"
        " --config {params.config:q} --out {params.out:q} {params.transcripts:q}"


rule edit_words:
    input:
        manifest="<data>/testsets/{set}.csv",
    output:
        words="<results>/transcripts/{set}/words.jsonl",
        record="<results>/transcripts/{set}/words.provenance.json",
    log:
        "<logs>/transcripts/{set}/words.log",
    conda:
        "../../environment.yml"
    resources:
        mem_mb=2000,
    params:
        code=code_of("metrics.judges.alignment"),
    shell:
        "python -m workflow.record.job --log {log:q} --record {output.record:q} --inputs {input.manifest:q}"
        " --outputs {output.words:q} --"
        " python -m metrics.judges.alignment --manifest {input.manifest:q} --out {output.words:q}"
