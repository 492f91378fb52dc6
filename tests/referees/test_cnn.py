import dataclasses

import torch

from selective_amnesia.profiles import PROFILES
from selective_amnesia.referees.cnn import RefereeCNN, train_referee


def test_the_referee_has_one_class_more_than_there_are_labels():
    referee, x = RefereeCNN(classes=7, width=4, features=20), torch.rand(3, 784)
    assert referee(x).shape == (3, 8)
    assert referee.none == 7
    assert referee.features(x).shape == (3, 20)


def test_the_referee_learns_and_knows_what_is_nothing(digits):
    config = dataclasses.replace(PROFILES["smoke"].surrogate, steps=160)
    _, _, figures = train_referee(digits, config, seed=0)
    assert figures["test_accuracy"] > 0.7
    assert figures["images_kept"] > 0.7
    assert min(figures[f"{what}_rejected"] for what in ("noise", "grey", "blank")) > 0.9
    assert figures.keys() >= {"corrupted_accuracy", "blends_rejected", "steps"}
