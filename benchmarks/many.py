"""M models at once: one stack against one model after another."""

from __future__ import annotations

from dataclasses import replace

from measure import Row, in_turns

from selective_amnesia import Lab, recipes
from selective_amnesia.forgetting import forget


def cvaes(lab: Lab, models: int) -> Row:
    """Steps of the training of M CVAEs."""
    config = replace(lab.profile.cvae, steps=40, warmup=5, frames=1)
    seeds = list(range(models))

    def together() -> None:
        recipes.train_cvaes(lab.data, config, seeds=seeds, without=[()] * models)

    def one_by_one() -> None:
        for seed in seeds:
            recipes.train_cvaes(lab.data, config, seeds=[seed])

    return _row(f"{models} CVAEs at once, {config.steps} steps", together, one_by_one, lab)


def amnesiacs(lab: Lab, models: int) -> Row:
    """Steps of forgetting M digits, each on its own."""
    original, fisher = lab.cvae(), lab.fisher()
    config = replace(lab.profile.forget, steps=20, warmup=5)
    sets = [{m % 10} for m in range(models)]

    def together() -> None:
        forget("selective_amnesia", original, fisher, sets, config, seeds=list(range(models)))

    def one_by_one() -> None:
        for seed, one in enumerate(sets):
            forget("selective_amnesia", original, fisher, [one], config, seeds=[seed])

    return _row(f"{models} amnesiacs at once, {config.steps} steps", together, one_by_one, lab)


def _row(what: str, together, one_by_one, lab: Lab) -> Row:
    together()
    ours, baseline = in_turns(together, one_by_one, 3, lab.device)
    return Row(what, ours, baseline, goal="1 x")


def rows(lab: Lab) -> list[Row]:
    counts = (2, 4, 10) if lab.device.type == "cpu" else (2, 4, 10, 16, 32, 64)
    return [cvaes(lab, m) for m in counts] + [amnesiacs(lab, m) for m in counts]
