"""What an error says to help: the nearest of the words that are known, or all of them.

Belongs here: the end of a sentence about a word that is not known. What is known is the caller's.
"""

import difflib
from collections.abc import Iterable


def hint(word: str, known: Iterable[str], most: int = 12) -> str:
    """`: did you mean 'kelvin'?`, or `: known are a, b.` where nothing is near and there are at most `most`, or `.`."""
    words = sorted(set(known))
    by_lower = {each.lower(): each for each in words}
    near = difflib.get_close_matches(word.lower(), by_lower, n=1)
    if near:
        return f": did you mean {by_lower[near[0]]!r}?"
    return f": known are {', '.join(words)}." if 0 < len(words) <= most else "."
