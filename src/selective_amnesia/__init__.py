"""Selective Amnesia Lab: train a conditional VAE, make it forget, attack it, measure what is left.

The rooms of this house, from the top; each imports only from below itself:

    __main__     the command line
    reports      tables made from kept measurements: populations, audit, results, matrix
    sweep        many stages on many machines
    lab          asks by name: load, resume or make
    figures      tensors in, figures out
    attacks      one file an attack
    forgetting   one file a method
    metrics      one file a metric
    referees     who says what a picture shows
    latent       paths through c and z, encodings, their geometry
    training     the loop that all stages share; CVAE and judge
    data         one file a set
    models       the networks
    storage      files, stages, their mirror
    plugins, profiles, config, checks, errors
"""

import os

# Two threads of OpenMP on two busy cores each wait spinning for the other: a step of training took
# 611 ms there, with a short wait 50, and on quiet cores no more than before (benchmarks/threads.py,
# AMD EPYC). GNU's OpenMP, torch's on Linux, reads this once, when torch is loaded. macOS and MKL
# builds have another one and are not covered.
os.environ.setdefault("GOMP_SPINCOUNT", "20000")

from .errors import Diverged, LabError
from .lab.lab import Lab

__all__ = ["Diverged", "Lab", "LabError"]
