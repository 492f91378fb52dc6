"""Selective Amnesia Lab: train a conditional VAE, make it forget, attack it, measure what is left.

Data flows down this list:

    config      every number of the protocol
    data        images as tensors on the device
    models      OneHotCVAE, Judge, Referee
    losses      the ELBO, the terms of Selective Amnesia and those of attacks
    training    the one loop that all stages share
    recipes     what CVAE, judge and referee learn
    fisher      the per-sample Fisher diagonal
    evaluation  probability, entropy, Frechet distance
    perceptual  LPIPS as a plain distance
    recovery    attacks on the condition
    audit       description length, erasure, relearning; the audit of any model
    forgetting  Selective Amnesia and other methods, one small file each
    interpolation  paths through c and z
    latent      encodings and their projections
    checkpoint  files that are whole or absent
    locks       one process at a time makes a stage
    stages      how a stage is named, kept and finished
    networks    classifiers, original, controls, amnesiacs
    lab         all stages, and what each needs
    results     what results.json holds; the evaluation matrix
    leaderboard every method on one calibrated table
    plots       every figure; plots_paths those of notebook 05, plots_latent 06, plots_attack 07,
                plots_methods 08
    records     what `make matrix` and `make leaderboard` write
    widgets     the explorer
"""

from .checkpoint import LabError
from .lab import Lab
from .training import Diverged

__all__ = ["Diverged", "Lab", "LabError"]
