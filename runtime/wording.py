"""Wording: how sentences for people say what is counted.

Belongs here: a number with its noun. Sentences belong to who says them.
"""


def counted(count: float, noun: str) -> str:
    """`1 day`, `2,000 days`: a number and a noun that has an s where there are more or none."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
