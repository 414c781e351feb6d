"""Odd content: valid files changed at random, as damage, typing errors and other programs do."""

from __future__ import annotations

import copy
import json
from random import Random
from typing import Any

__all__ = ["mutate_bytes", "mutate_json", "mutate_text", "mutate_tree"]

DEEP = "@deep@"  # stands for lists in lists, which Python cannot write as JSON
TEXTS = ["", " ", "x" * 300, "007", "NA", "nan", "1e5", "1e400", "True", "no", "2024-01-01", "-1",
         "2", "?", "??", ";", ",", "a;;b", "['a', 'b']", "[1, 0]", "[", "]", "=1+1", "../x", "/etc",
         "a\\b", "for\xeat", "fore\u0302t", "\u200b", "\ufeff", "\x00", "\ud800", "\t", "\r", "'",
         '"', "train", "valid", "\U0001f984", ".", "..", "%", "#", "1.0", "0.5", "inf"]  # fmt: skip
VALUES: list[Any] = [None, True, False, 0, 1, -1, 2, 2**31, 2**63, -(2**70), 0.5, 1e300, [], {},
                     [[]], [None], {"": None}, [1, "a"], ["a", ["b"]], DEEP]  # fmt: skip


def odd_value(random: Random) -> Any:
    """Return a value of any type."""
    chosen = random.choice([*VALUES, *TEXTS])
    return copy.deepcopy(chosen)


def mutate_tree(tree: Any, random: Random) -> Any:
    """Copy a tree of values with one to three of them replaced, removed, repeated or renamed."""
    changed = copy.deepcopy(tree)
    for _ in range(random.randint(1, 3)):
        changed = _mutate_once(changed, random)
    return changed


def _mutate_once(tree: Any, random: Random) -> Any:
    places = list(_places(tree))
    if not places or random.random() < 0.05:
        return odd_value(random)
    parent, key = random.choice(places)
    action = random.randrange(5)
    if action <= 1:
        parent[key] = odd_value(random)
    elif action == 2:
        del parent[key]
    elif isinstance(parent, list):
        parent.insert(key, parent[key] if action == 3 else odd_value(random))
    else:
        parent[random.choice(TEXTS)] = parent[key] if action == 3 else odd_value(random)
    return tree


def _places(tree: Any) -> Any:
    keys = tree if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ()
    for key in list(keys):
        yield tree, key
        yield from _places(tree[key])


def mutate_json(text: str, random: Random) -> bytes:
    """Change a JSON text, mostly so that it is valid JSON again."""
    if random.random() < 0.3:
        return mutate_bytes(text.encode(), random)
    depth = random.choice([50, 5000])
    changed = json.dumps(mutate_tree(json.loads(text), random))
    return changed.replace(f'"{DEEP}"', "[" * depth + "]" * depth).encode()


def mutate_text(text: str, random: Random) -> bytes:
    """Change lines or cells of a text."""
    if random.random() < 0.3:
        return mutate_bytes(text.encode(), random)
    lines = text.splitlines()
    for _ in range(random.randint(1, 3)):
        row = random.randrange(len(lines)) if lines else 0
        action = random.randrange(6)
        if action == 0 and lines:
            del lines[row]
        elif action == 1 and lines:
            lines.insert(row, lines[random.randrange(len(lines))])
        elif action == 2:
            lines.insert(row, random.choice(TEXTS))
        elif lines:
            mark = random.choice([",", ";", " ", "\t"])
            cells = lines[row].split(mark)
            cells[random.randrange(len(cells))] = random.choice(TEXTS)
            lines[row] = random.choice([mark, mark, ",", ";"]).join(cells)
    end = random.choice(["\n", "\n", "\r\n", "\r"])
    encoding = random.choice(["utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1"])
    return end.join(lines).encode(encoding, "surrogatepass" if encoding == "utf-8" else "replace")


def mutate_bytes(content: bytes, random: Random) -> bytes:
    """Flip, remove, repeat or insert bytes, or cut the end."""
    changed = bytearray(content)
    for _ in range(random.randint(1, 4)):
        place = random.randrange(len(changed) + 1)
        action = random.randrange(6)
        if action <= 1 and place < len(changed):
            changed[place] ^= 1 << random.randrange(8)
        elif action == 2:
            del changed[place : place + random.choice([1, 2, 8, 100])]
        elif action == 3:
            changed[place:place] = random.randbytes(random.choice([1, 4, 16]))
        elif action == 4:
            changed[place:place] = changed[place : place + 16]
        elif random.random() < 0.3:
            del changed[place:]
    return bytes(changed)
