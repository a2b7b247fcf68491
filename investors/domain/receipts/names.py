"""Likeness of two names, and of one name and many."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping
from difflib import SequenceMatcher
from typing import NamedTuple


def score_names(one: str, other: str) -> float:
    """Likeness of two names from 0 to 1, whatever their order, case and accents."""
    return _score(_plain(one), _plain(other))


def _score(left: str, right: str) -> float:
    if not left or not right:
        return 0.0
    return SequenceMatcher(None, left, right, autojunk=False).ratio()


def _plain(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name).casefold()
    letters = "".join(mark for mark in plain if not unicodedata.combining(mark))
    return " ".join(sorted(re.findall(r"[^\W_]+", letters)))


class _Entry(NamedTuple):
    name: str
    plain: str
    letters: int
    size: int


class NameBook:
    """Names that are asked again and again which of them is like another one.

    Two names are no more alike than the letters that both have, in whatever order, and no more than
    those that both have in one order.  The first is one operation on two whole numbers, the second
    a few; only names that may still win are compared in full.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._bits: dict[tuple[str, int], int] = {}
        self._entries: list[_Entry] = []
        self._by_word: dict[str, list[_Entry]] = defaultdict(list)
        for name in sorted(set(names)):
            plain = _plain(name)
            item = _Entry(name, plain, self._letters(plain), len(plain))
            self._entries.append(item)
            for word in plain.split():
                self._by_word[word].append(item)

    def _letters(self, text: str) -> int:
        """One bit for each letter with its count: the first "a" is another bit than the second."""
        seen: dict[str, int] = {}
        found = 0
        for letter in text:
            count = seen[letter] = seen.get(letter, 0) + 1
            found |= 1 << self._bits.setdefault((letter, count), len(self._bits))
        return found

    def _within(
        self, asked: str, entries: Iterable[_Entry], score_min: float
    ) -> list[tuple[float, _Entry]]:
        """The entries whose score may reach ``score_min``, each with the most that it can be."""
        if not asked:
            return []
        letters, size = self._letters(asked), len(asked)
        places: dict[str, int] = defaultdict(int)
        for place, letter in enumerate(asked):
            places[letter] |= 1 << place
        found = []
        for item in entries:
            both = size + item.size
            if 2.0 * (letters & item.letters).bit_count() / both >= score_min:
                bound = 2.0 * _common_run(places, size, item.plain) / both
                if bound >= score_min:
                    found.append((bound, item))
        return found

    def alike(self, name: str, *, score_min: float) -> set[str]:
        """The names whose score with ``name`` is at least ``score_min``, which is above 0."""
        asked = _plain(name)
        return {
            item.name
            for _, item in self._within(asked, self._entries, score_min)
            if _score(asked, item.plain) >= score_min
        }

    def nearest(self, name: str) -> tuple[str, float]:
        """The most similar name and its score; of equal ones the last by alphabet.

        An empty name and 0 where none shares a letter.
        """
        asked = _plain(name)
        best = (0.0, "")
        # Those with a word in common come first: what they reach spares most of the others.
        words = {item for word in asked.split() for item in self._by_word.get(word, ())}
        for entries in (words, self._entries):
            found = self._within(asked, entries, best[0])
            for bound, item in sorted(found, key=lambda pair: -pair[0]):
                if bound < best[0]:
                    break
                best = max(best, (_score(asked, item.plain), item.name))
        return (best[1], best[0]) if best[0] else ("", 0.0)


def _common_run(places: Mapping[str, int], size: int, other: str) -> int:
    """Letters that two texts have in common in one order; ``places`` has the first's by letter.

    Source: H. Hyyrö, Bit-parallel LCS-length computation revisited (2004).
    """
    whole = (1 << size) - 1
    open_places = whole
    for letter in other:
        met = open_places & places.get(letter, 0)
        open_places = ((open_places + met) | (open_places - met)) & whole
    return size - open_places.bit_count()
