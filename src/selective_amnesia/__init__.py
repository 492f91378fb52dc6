"""Selective Amnesia Lab: train a conditional VAE, make it forget, attack it, measure what is left.

Data flows down this list and never back up:

    config      every number of the protocol
    data        images as tensors on the device
    models      OneHotCVAE, Judge, Referee
    losses      the ELBO and the three terms of Selective Amnesia
    training    the one loop that all stages share
    recipes     what CVAE, judge and referee learn
    fisher      the per-sample Fisher diagonal
    forgetting  Selective Amnesia
    evaluation  probability, entropy, Frechet distance
    recovery    attacks on the condition
    audit       description length, erasure
    interpolation  paths through c and z
    latent      encodings and their projections
    checkpoint  files that are whole or absent
    locks       one process at a time makes a stage
    lab         the stages, what each needs, where each is kept
    plots       every figure; plots_paths those of notebook 05, plots_latent those of 06
    widgets     the explorer
"""

from .checkpoint import LabError
from .lab import Lab
from .training import Diverged

__all__ = ["Diverged", "Lab", "LabError"]
