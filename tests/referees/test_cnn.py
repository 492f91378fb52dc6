import dataclasses

import torch

from selective_amnesia.data.dataset import pixels
from selective_amnesia.models.classifiers import probabilities
from selective_amnesia.profiles import PROFILES
from selective_amnesia.referees.cnn import RefereeCNN, train_referee


def test_the_referee_has_one_class_more_than_there_are_labels():
    referee, x = RefereeCNN(classes=7, width=4, features=20), torch.rand(3, 784)
    assert referee(x).shape == (3, 8)
    assert referee.none == 7
    assert referee.features(x).shape == (3, 20)


def test_the_referee_learns_and_knows_what_is_nothing(digits):
    config = dataclasses.replace(PROFILES["smoke"].surrogate, steps=160)
    referee, _, _ = train_referee(digits, config, seed=0)
    x, y = pixels(digits.test_images), digits.test_labels
    takes = probabilities(referee, x).argmax(1)
    assert takes.eq(y).float().mean() > 0.7
    assert takes.ne(referee.none).float().mean() > 0.7
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(200, 784, generator=generator)
    for nothing in (noise, torch.full((1, 784), 0.5), torch.zeros(1, 784)):
        taken = probabilities(referee, nothing).argmax(1)
        assert taken.eq(referee.none).float().mean() > 0.9
