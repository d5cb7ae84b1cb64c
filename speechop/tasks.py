"""Table 9: what SpeechOp trains each of its tasks with, and the rows of its task embedding."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TrainedTask:
    """Table 9's sampling weight and prompt probability of a task of `speechbase.items.TASKS`."""

    name: str
    weight: float
    prompt_probability: float


# TTS is drawn as often as all speech-to-speech tasks together, so it has no weight among them.
TABLE9 = {
    task.name: task
    for task in (
        TrainedTask("tts", 0.0, 0.75),
        TrainedTask("enhancement", 3.0, 0.1),
        TrainedTask("separation", 3.0, 0.9),
        TrainedTask("noise_isolation", 1.0, 0.1),
        TrainedTask("speech_isolation", 1.0, 0.1),
        TrainedTask("acoustic_matching", 1.0, 0.9),
    )
}
# The rows of a new network's task embedding, in order. Weights carry their own tuple (`network.tasks` of their
# configuration), so that a task added here leaves weights that were trained before as they are.
ROWS = tuple(TABLE9)
