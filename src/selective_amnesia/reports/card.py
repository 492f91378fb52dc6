"""The card of an exported model: what the Hugging Face Hub shows beside its files."""

from __future__ import annotations

from typing import Any

from ..checks import words

ADDRESS = "https://github.com/selective-amnesia-lab/selective-amnesia-lab"
CARD = """\
---
license: mit
library_name: pytorch
pipeline_tag: unconditional-image-generation
tags:
- machine-unlearning
- conditional-vae
- {dataset}
---

# {who} (forget set {{{forget}}})

{what} It is one of three, `original`, `amnesiac` and `control`, that belong together: what is \
said of an amnesiac has to be read beside the control.

A conditional VAE of 28 x 28 grey images (encoder {pixels} + {classes} - {wide} - {narrow}, \
decoder {z_dim} + {classes} - {narrow} - {wide} - {pixels}; float32), made by the \
[Selective Amnesia Lab]({code}).

```python
import torch
from selective_amnesia.models.cvae import OneHotCVAE, one_hot

model = OneHotCVAE.from_pretrained("this folder, or its id on the Hub")
z, c = torch.randn(8, {z_dim}), one_hot([3] * 8, {classes})
images = model.decode(z, c)  # (8, {pixels}) in [0, 1]
```

## How it was made

Data set {dataset}, profile {profile}, seed {seed}, torch {versions[torch]}, on {device}, {date}.

| setting | |
| --- | --- |
{settings}

## What was measured

One original, one amnesiac, one control: these figures say nothing of other seeds.

| negative ELBO of test images, nats | |
| --- | --- |
| kept labels | {kept:.2f} |
| forgotten labels | {forgotten:.2f} |

What is taken for the label that was asked for. The judge is the paper's small CNN (mean \
probability of the label), through which the attack differentiates. The panel is four classifiers \
that no attack touches (share of images).

| {images} images of each label | judge | panel |
| --- | --- | --- |
| kept labels | {kept_judge:.3f} | {kept_panel:.3f} |
{asked}

A high figure under attack is no proof that the model remembers: the same attack on a control, \
which never saw the label, gets high figures too. See the lab's `docs/attacks.md`.

## Limits

A model for study. Nothing here shows that a digit is gone for good, and nothing carries over to \
larger generators without being measured there.

## Licence and citation

MIT. The method is of Heng and Soh:

```bibtex
@inproceedings{{heng2023selective,
  title = {{Selective Amnesia: A Continual Learning Approach to Forgetting in Deep Generative \
Models}},
  author = {{Heng, Alvin and Soh, Harold}},
  booktitle = {{Advances in Neural Information Processing Systems}},
  year = {{2023}},
  url = {{https://arxiv.org/abs/2305.10120}}
}}
```
"""


def card(who: str, about: dict[str, Any]) -> str:
    """The card of one of the three models, from what `export` writes as `about.json`."""
    forget, made, config = words(about["forget"]), about["made"][who], about["config"]
    what = {
        "original": "Trained on all labels: what amnesiacs begin from.",
        "amnesiac": f"The original after forgetting {forget} by Selective Amnesia.",
        "control": f"Trained from scratch without {forget}, which it has never seen.",
    }[who]
    titles = {"label": "plain label", "robust": "attack A"}
    asked = [
        f"| {label}, {titles[way]} | {found['of']['judge']:.3f} | {found['of']['panel']:.3f} |"
        for label, ways in about["models"][who].items()
        for way, found in ways.items()
    ]
    some = next(iter(about["models"][who].values()))
    fields = about | config | made | about["test_nats"][who]
    fields |= {"who": who, "what": what, "code": ADDRESS, "forget": forget}
    fields |= {"wide": config["hidden"][0], "narrow": config["hidden"][1]}
    fields |= {"images": some["label"]["of"]["images"], "asked": "\n".join(asked)}
    fields |= {f"kept_{k}": value for k, value in about["kept_samples"][who].items()}
    fields["settings"] = "\n".join(f"| {k} | {v} |" for k, v in made["settings"].items())
    return CARD.format(**fields)
