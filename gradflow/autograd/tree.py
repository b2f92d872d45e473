"""Nested tuples, lists and dicts of tensors, flattened and built again."""

from __future__ import annotations

from typing import Any

Tree = Any


def flatten(tree: Tree) -> tuple[list[Any], Any]:
    """(leaves, structure); `unflatten(structure, leaves)` undoes it. Anything but a tuple, list or dict is a leaf."""
    leaves: list[Any] = []
    return leaves, _flatten(tree, leaves)


def _flatten(tree: Tree, leaves: list[Any]) -> Any:
    if isinstance(tree, dict):
        return (type(tree), list(tree), [_flatten(v, leaves) for v in tree.values()])
    if isinstance(tree, (tuple, list)):
        return (type(tree), None, [_flatten(v, leaves) for v in tree])
    leaves.append(tree)
    return None


def unflatten(structure: Any, leaves: list[Any]) -> Tree:
    """A tree of the given structure with these leaves."""
    return _unflatten(structure, iter(leaves))


def _unflatten(structure: Any, leaves: Any) -> Tree:
    if structure is None:
        return next(leaves)
    kind, keys, parts = structure
    built = [_unflatten(p, leaves) for p in parts]
    if keys is not None:
        return kind(zip(keys, built, strict=True))
    return kind(*built) if hasattr(kind, "_fields") else kind(built)


def map_tree(function: Any, tree: Tree) -> Tree:
    """`function` applied to every leaf."""
    leaves, structure = flatten(tree)
    return unflatten(structure, [function(leaf) for leaf in leaves])


def broadcast_prefix(prefix: Tree, tree: Tree, what: str) -> list[Any]:
    """One entry of `prefix` per leaf of `tree`: a leaf of the prefix stands for the whole subtree at its place."""
    if prefix is None or isinstance(prefix, int):
        return [prefix] * len(flatten(tree)[0])
    if type(prefix) in (tuple, list) and isinstance(tree, (tuple, list)) and len(prefix) == len(tree):
        return [e for p, t in zip(prefix, tree, strict=True) for e in broadcast_prefix(p, t, what)]
    if isinstance(prefix, dict) and isinstance(tree, dict) and prefix.keys() == tree.keys():
        return [e for k in tree for e in broadcast_prefix(prefix[k], tree[k], what)]
    raise ValueError(f"[vmap] {what} {prefix!r} does not have the structure of the values it describes")
