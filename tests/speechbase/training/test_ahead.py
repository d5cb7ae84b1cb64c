"""Batches drawn ahead."""

import os
import signal

import torch

from speechbase.training.ahead import Ahead


def test_processes_that_draw_ahead_outlive_the_signal_that_ends_a_training():
    """A scheduler signals all processes of a job; the training still has a step to end and its state to save."""
    ahead = Ahead(lambda step, micro: torch.tensor([step, micro]), 1, range(2))
    assert ahead.take(0, 0).tolist() == [0, 0]
    for number in (signal.SIGTERM, signal.SIGINT):
        os.kill(ahead._coming._workers[0].pid, number)
    turns = [(step, micro) for step in range(9) for micro in range(2)][1:]
    assert [tuple(ahead.take(*turn).tolist()) for turn in turns] == turns
