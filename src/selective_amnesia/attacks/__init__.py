r"""Attacks on a generator: which condition c brings a forgotten label back?

One small file an attack, found by its name.

An attack's file holds

    recover    task -> what it found (`search.Recovered`)
    Settings   if the attack has numbers of its own: a subclass of `config.AttackConfig`
    NAME       if tables and figures write it otherwise than the file
    VERSION    raised when the file changes what it finds

The attacker has the decoder and may differentiate through it and through the judge. Most attacks
search with `search.search`, and differ by their terms.

What an attack finds proves nothing by itself: the same attack on a control, which never saw the
label, says how much of it the attacker has brought along.
"""

from __future__ import annotations

from ..plugins import Plugins

__all__ = ["ATTACKS"]

ATTACKS = Plugins("attack", __name__, shared={"landscape", "search", "terms"})
