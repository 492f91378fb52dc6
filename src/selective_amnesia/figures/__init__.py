"""Every figure of the lab, in one visual language: tensors in, figures out.

`Lab.show` saves and displays what these functions return. The explorer is no picture but a widget:
it lies in `figures.explorer` and is imported from there, since it alone needs ipywidgets.
"""

from .attacks import attack_film, codes_curve, dumbbells, landscapes
from .audit import probability_matrix, relearning_curves, roc, tells, true_nats
from .fisher import (
    fisher_convergence,
    fisher_layers,
    fisher_maps,
    fisher_units,
    per_sample_against_batch,
)
from .forgetting import confusions, frechet, sequence_curve
from .images import Gif, before_after, gif, grids, png, render
from .latent import centroid_shifts, flat_maps, image_grids, projections
from .methods import attack_margin, frontier, leaderboard
from .paths import film_strips, interpolation_grid, morph, radius_maps
from .schematic import unlearning_schematic
from .style import MODEL_STYLE
from .training import forgetting_terms, learning_curve, per_label

__all__ = [
    "MODEL_STYLE",
    "Gif",
    "attack_film",
    "attack_margin",
    "before_after",
    "centroid_shifts",
    "codes_curve",
    "confusions",
    "dumbbells",
    "film_strips",
    "fisher_convergence",
    "fisher_layers",
    "fisher_maps",
    "fisher_units",
    "flat_maps",
    "forgetting_terms",
    "frechet",
    "frontier",
    "gif",
    "grids",
    "image_grids",
    "interpolation_grid",
    "landscapes",
    "leaderboard",
    "learning_curve",
    "morph",
    "per_label",
    "per_sample_against_batch",
    "png",
    "probability_matrix",
    "projections",
    "radius_maps",
    "relearning_curves",
    "render",
    "roc",
    "sequence_curve",
    "tells",
    "true_nats",
    "unlearning_schematic",
]
