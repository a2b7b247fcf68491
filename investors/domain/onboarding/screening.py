"""Compare a name with the names of a list: accents, order and small slips do not hide a person.

A name becomes its set of plain words.  Each word of the shorter name is paired with the word of the
longer one that it resembles most (Jaro-Winkler, Winkler 1990), and the score is the mean of the
pairs weighted by length, less a little for every word that stays without a partner.
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

#: From here a person looks at a match.
THRESHOLD = 0.86
#: A word alone resembles another from here on; below, the two have nothing in common.
WORD_FROM = 0.80
#: What each word without a partner costs.
UNPAIRED = 0.06
_PREFIX_MAX, _PREFIX_WEIGHT = 4, 0.1
#: Hangul fillers and the blank of Braille.
_FILLERS = frozenset("\u115f\u1160\u3164\uffa0\u2800")
#: Words that say what a company is, not which.
_LEGAL_FORMS = frozenset(
    {
        "ab", "ag", "as", "bv", "co", "company", "corp", "corporation", "gmbh", "inc", "limited",
        "llc", "ltd", "nv", "oy", "plc", "sa", "sarl",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedName:
    """One name of an entry of a list; an entry has several."""

    entry: str
    name: str
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """The best name of one entry, with its score from 0 to 1."""

    entry: str
    name: str
    note: str
    score: float


def plain_words(name: str) -> tuple[str, ...]:
    """The words of a name without accents, case, signs and legal forms, in alphabetical order.

    What is not seen parts no word: a name with marks and invisible signs between its letters reads
    like the name itself.
    """
    folded = unicodedata.normalize("NFKD", name.replace("ß", "ss")).casefold()
    letters = "".join(sign if sign.isalnum() else " " for sign in folded if not _is_unseen(sign))
    words = sorted(set(letters.split()))
    return tuple(word for word in words if word not in _LEGAL_FORMS) or tuple(words)


def _is_unseen(sign: str) -> bool:
    """Accents and other marks, signs without width, and letters that are drawn as nothing."""
    return sign in _FILLERS or unicodedata.category(sign) in ("Mn", "Me", "Mc", "Cf")


def resemble(a: str, b: str) -> float:
    """Jaro-Winkler similarity of two words, from 0 to 1."""
    if a == b:
        return 1.0
    reach = max(max(len(a), len(b)) // 2 - 1, 0)
    taken = [False] * len(b)
    common = []
    for i, sign in enumerate(a):
        for j in range(max(0, i - reach), min(len(b), i + reach + 1)):
            if not taken[j] and b[j] == sign:
                taken[j] = True
                common.append(sign)
                break
    if not common:
        return 0.0
    other = [b[j] for j in range(len(b)) if taken[j]]
    swaps = sum(x != y for x, y in zip(common, other, strict=True)) / 2
    n = len(common)
    jaro = (n / len(a) + n / len(b) + (n - swaps) / n) / 3
    prefix = 0
    for x, y in zip(a[:_PREFIX_MAX], b[:_PREFIX_MAX], strict=False):
        if x != y:
            break
        prefix += 1
    return jaro + prefix * _PREFIX_WEIGHT * (1 - jaro)


def score_names(a: tuple[str, ...], b: tuple[str, ...]) -> float:
    """How alike two names are, from 0 to 1; words as :func:`plain_words` gives them."""
    short, long = (a, b) if len(a) <= len(b) else (b, a)
    # One word alone is half of the world's names: it meets one word alone.
    if not short or (len(short) == 1 and len(long) > 1):
        return 0.0
    left = list(long)
    total = weight = 0.0
    for word in sorted(short, key=len, reverse=True):
        best = max(left, key=lambda other: resemble(word, other))
        alike = resemble(word, best)
        if alike < WORD_FROM:
            return 0.0
        left.remove(best)
        total += alike * len(word)
        weight += len(word)
    return max(0.0, total / weight - UNPAIRED * len(left))


@dataclass(slots=True)
class NameIndex:
    """The names of a list by the words in them, so that a search looks at few of them."""

    _names: list[tuple[tuple[str, ...], ListedName]] = field(default_factory=list)
    _by_word: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    _by_letter: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    @classmethod
    def of(cls, names: Iterable[ListedName]) -> NameIndex:
        index = cls()
        for item in names:
            words = plain_words(item.name)
            if not words:
                continue
            place = len(index._names)
            index._names.append((words, item))
            for word in words:
                if word not in index._by_word:
                    index._by_letter[word[0]].append(word)
                index._by_word[word].append(place)
        return index

    def __len__(self) -> int:
        return len(self._names)

    def find(self, name: str, *, threshold: float = THRESHOLD) -> list[Match]:
        """Entries that resemble a name, the most alike first; each entry once."""
        asked = plain_words(name)
        places: set[int] = set()
        for word in asked:
            for known in self._by_letter.get(word[0], ()):
                if abs(len(known) - len(word)) <= 3 and resemble(word, known) >= WORD_FROM:
                    places.update(self._by_word[known])
        best: dict[str, Match] = {}
        for place in places:
            words, item = self._names[place]
            score = score_names(asked, words)
            if score < threshold:
                continue
            earlier = best.get(item.entry)
            if earlier is None or score > earlier.score:
                best[item.entry] = Match(
                    entry=item.entry, name=item.name, note=item.note, score=round(score, 4)
                )
        return sorted(best.values(), key=lambda match: (-match.score, match.entry))
