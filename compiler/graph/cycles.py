"""Which nodes of a directed graph lie on cycles with each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def components(into: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """The strongly connected components, each behind those that it reads; `into` is what each node reads.

    Tarjan's algorithm (1972), without recursion. Nodes of a component stand in the order of `into`.
    """
    position = {name: at for at, name in enumerate(into)}
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    open_: dict[str, None] = {}
    found: list[list[str]] = []
    for start in into:
        if start in index:
            continue
        index[start] = low[start] = len(index)
        open_[start] = None
        walk = [(start, iter(into[start]))]
        while walk:
            name, rest = walk[-1]
            for read in rest:
                if read not in index:
                    index[read] = low[read] = len(index)
                    open_[read] = None
                    walk.append((read, iter(into[read])))
                    break
                if read in open_:
                    low[name] = min(low[name], index[read])
            else:
                walk.pop()
                if walk:
                    low[walk[-1][0]] = min(low[walk[-1][0]], low[name])
                if low[name] == index[name]:
                    found.append(_closed(name, open_, position))
    return found


def _closed(name: str, open_: dict[str, None], position: Mapping[str, int]) -> list[str]:
    """Take a component off the nodes that are open, the last of which it is."""
    group: list[str] = []
    while True:
        last, _ = open_.popitem()
        group.append(last)
        if last == name:
            return sorted(group, key=position.__getitem__)
