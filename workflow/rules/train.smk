# Models: those that ship with the repository are copied, unless `retrain` asks to train them; the others are trained.
SHIPPED = [] if config["retrain"] else trainings.shipped_models(SCALE)
# At the scale of real corpora training streams shards, on as many nodes as were allotted.
RECORDED_SPEECH = "recorded" in config["corpus"]


rule shipped_model:
    input:
        # A newer clone has newer files: what decides is the configuration, which is compared by content and holds the
        # checksum of the weights, too large to be compared themselves.
        weights=ancient(f"speechbase/pretrained/{SCALE}/{{model}}/model.safetensors"),
        config=f"speechbase/pretrained/{SCALE}/{{model}}/config.json",
        curves=ancient(f"speechbase/pretrained/{SCALE}/{{model}}/curves.jsonl"),
    output:
        weights="<models>/{model}/model.safetensors",
        config="<models>/{model}/config.json",
        curves="<models>/{model}/curves.jsonl",
        record="<models>/{model}/provenance.json",
    log:
        "<logs>/train/{model}.log",
    wildcard_constraints:
        model=places.any_of(SHIPPED),
    localrule: True
    conda:
        "../../environment.yml"
    params:
        out=lambda wildcards, output: Path(output.weights).parent,
    shell:
        "python -m workflow.record.job --log {log:q} --record {output.record:q}"
        " --inputs {input.weights:q} {input.config:q} --outputs {output.weights:q} --"
        " cp {input.weights:q} {input.config:q} {input.curves:q} {params.out:q}"


rule trained_model:
    input:
        tables=lambda wildcards: expand(
            "<data>/speech/{split}.csv",
            split=(
                ["train", "valid"]
                if RECORDED_SPEECH
                else trainings.training_tables(
                    config["corpus"],
                    os.environ,
                    config["models"][wildcards.model]["kind"],
                )
            ),
        ),
        noise="<data>/noise.csv",
        rir="<data>/rir.csv",
        before=lambda wildcards: [
            f"<models>/{name}/model.safetensors"
            for name in config["models"][wildcards.model]["after"]
        ],
        shards=lambda wildcards: (
            paper_plan.training_shards(
                config["models"][wildcards.model], config["corpus"]["recorded"]
            )
            if RECORDED_SPEECH
            else []
        ),
    output:
        weights="<models>/{model}/model.safetensors",
        config="<models>/{model}/config.json",
        curves="<models>/{model}/curves.jsonl",
        record="<models>/{model}/provenance.json",
    log:
        "<logs>/train/{model}.log",
    benchmark:
        "<benchmarks>/train/{model}.tsv"
    wildcard_constraints:
        model=places.any_of(set(config["models"]) - set(SHIPPED)),
    conda:
        "../../environment.yml"
    threads: 16
    resources:
        mem_mb=8000,
        gpu=config["resources"]["gpu"],
    params:
        code=lambda wildcards: code_of(
            *trainings.training_modules(config, wildcards.model)
        ),
        config=lambda wildcards: json.dumps(
            trainings.training_config(config, wildcards.model)
        ),
        # Resume state lies where no rule declares it: Snakemake deletes the declared outputs of a job that fails.
        command=lambda wildcards, output: trainings.training_command(
            config,
            wildcards.model,
            Path(output.weights).parent,
            Path(f".state/{SCALE}"),
        ),
        launcher=["workflow.cluster.launch", "--"] if RECORDED_SPEECH else [],
        data=lambda wildcards, input: Path(input.noise).parent,
    shell:
        # exec: a shell that waits dies of the signal with which SLURM announces the time limit, and leaves the trainer
        # alone.
        "exec python -m workflow.record.job --log {log:q} --record {output.record:q} --settings {params.config:q}"
        " --inputs {input.tables:q} {input.noise:q} {input.rir:q} {input.before:q} --outputs {output.weights:q} --"
        " python -m {params.launcher:q} {params.command:q} --data {params.data:q} --config {params.config:q}"
