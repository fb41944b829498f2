"""Rules: each makes a set of edges of its arguments."""

from __future__ import annotations

from .all import ALL
from .closure import CLOSURE
from .load import LOAD
from .one_to_one import ONE_TO_ONE
from .random import RANDOM
from .rule import Rule
from .window import WINDOW

# The rules of the language by their words, in the order in which messages name them.
RULES: dict[str, Rule] = {rule.word: rule for rule in (ALL, ONE_TO_ONE, WINDOW, RANDOM, LOAD, CLOSURE)}
