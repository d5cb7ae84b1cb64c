"""Start a training module on whatever was allotted: one process, one node's GPUs, or several nodes under SLURM.

    python -m workflow.cluster.launch -- speechbase.training tts --name tts ...

Several nodes need the job's shell to be allowed to call srun, which the profile's `mpi: srun` arranges.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping

PORTS = (20000, 20000)  # first, how many: one a SLURM job, so that two jobs on a node do not meet


def build(module: list[str], environment: Mapping[str, str], gpus: int, hostnames: Callable[[str], str]) -> list[str]:
    """The command that starts `module` (its name and arguments).

    Args:
        environment: SLURM's variables decide about nodes; without them there is one node.
        gpus: GPUs that this node sees.
        hostnames: SLURM's node list -> the first host's name.
    """
    nodes = int(environment.get("SLURM_NNODES", "1"))
    accelerate = [
        "accelerate",
        "launch",
        "--mixed_precision",
        "no",
        "--dynamo_backend",
        "no",
    ]  # the trainer decides both
    if nodes == 1 and gpus <= 1:
        return [sys.executable, "-m", *module]
    if nodes == 1:
        return [*accelerate, "--multi_gpu", "--num_machines", "1", "--num_processes", str(gpus), "-m", *module]
    port = PORTS[0] + int(environment["SLURM_JOB_ID"]) % PORTS[1]
    shared = [*accelerate, "--multi_gpu", "--num_machines", str(nodes), "--num_processes", str(nodes * gpus)]
    shared += ["--main_process_ip", hostnames(environment["SLURM_JOB_NODELIST"]), "--main_process_port", str(port)]
    # The rank is known on each node only, so that a shell there has to fill it in.
    inner = f"exec {shlex.join(shared)} --machine_rank $SLURM_NODEID -m {shlex.join(module)}"
    return [
        "srun",
        f"--nodes={nodes}",
        f"--ntasks={nodes}",
        "--ntasks-per-node=1",
        "--kill-on-bad-exit=1",
        "bash",
        "-c",
        inner,
    ]


def first_host(node_list: str) -> str:
    """The first host of a SLURM node list such as "gpu[03-06]", as scontrol expands it."""
    listed = subprocess.run(["scontrol", "show", "hostnames", node_list], capture_output=True, text=True, check=True)
    return listed.stdout.split()[0]


def main(arguments: list[str] | None = None) -> None:
    """The command line: everything after -- is the module and its arguments; this process becomes the command."""
    import torch

    given = sys.argv[1:] if arguments is None else arguments
    module = given[1:] if given[:1] == ["--"] else given
    command = build(module, os.environ, torch.cuda.device_count(), first_host)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
