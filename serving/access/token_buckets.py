"""Token buckets: how often each key may ask.

Belongs here: counting. What is answered to who asks too often belongs to the face that he asked.
"""

from dataclasses import dataclass

_BURST_S = 2.0


@dataclass
class _Bucket:
    tokens: float
    filled_s: float


class TokenBuckets:
    """A bucket a key. It holds what comes in two seconds, at least one request."""

    def __init__(self) -> None:
        self._buckets: dict[str, _Bucket] = {}

    def take(self, key_id: str, a_second: float, now_s: float) -> float:
        """Take a token: 0 when there was one, else the seconds until there is."""
        most = max(1.0, a_second * _BURST_S)
        bucket = self._buckets.get(key_id) or self._buckets.setdefault(key_id, _Bucket(most, now_s))
        bucket.tokens = min(most, bucket.tokens + (now_s - bucket.filled_s) * a_second)
        bucket.filled_s = now_s
        if bucket.tokens >= 1:
            bucket.tokens -= 1
            return 0.0
        return (1 - bucket.tokens) / a_second if a_second > 0 else 3600.0
