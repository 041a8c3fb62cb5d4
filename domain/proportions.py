"""What a count of right and wrong answers proves: score intervals, exact error bounds, and how many errors a test allows.

Sources: Wilson (1927) for the score interval, Clopper and Pearson (1934) for the exact bound.
"""

import math
from collections.abc import Iterable, Sequence

Z_95 = 1.6448536269514722
"""One-sided 95 % quantile of the normal distribution."""
Z_THREE_LOOKS = 2.128
"""One-sided, for a test looked at three times: alpha is 0.05 / 3 at each look (Bonferroni)."""
_HALVINGS = 60


def wilson_lower(right: int, cases: int, z: float = Z_95) -> float:
    """Wilson's lower bound of a share; 0 without cases."""
    return _wilson(right, cases, -z) if cases else 0.0


def wilson_upper(right: int, cases: int, z: float = Z_95) -> float:
    """Wilson's upper bound of a share; 1 without cases."""
    return _wilson(right, cases, z) if cases else 1.0


def _wilson(right: int, cases: int, z: float) -> float:
    share = right / cases
    centre = share + z * z / (2 * cases)
    spread = z * math.sqrt(share * (1 - share) / cases + z * z / (4 * cases * cases))
    return min(1.0, max(0.0, (centre + spread) / (1 + z * z / cases)))


def allowed_disagreements(cases: int, target: float, z: float = Z_THREE_LOOKS) -> int | None:
    """The most disagreements among ``cases`` whose lower bound still reaches ``target``; None when not even 0 does."""
    low, high = -1, cases
    while low < high:
        middle = (low + high + 1) // 2
        if wilson_lower(cases - middle, cases, z) >= target:
            low = middle
        else:
            high = middle - 1
    return low if low >= 0 else None


def least_cases(target: float, z: float = Z_THREE_LOOKS) -> int:
    """The fewest cases, all of them right, whose lower bound reaches ``target``."""
    # With every case right Wilson's lower bound is n / (n + z^2).
    return math.ceil(target * z * z / (1 - target) - 1e-9)


def error_upper(errors: int, cases: int, *, level: float = 0.95) -> float:
    """The exact one-sided upper bound of an error share (Clopper and Pearson); 1 without cases."""
    if cases == 0 or errors >= cases:
        return 1.0
    low, high = errors / cases, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if _at_most(errors, cases, middle) > 1 - level:
            low = middle
        else:
            high = middle
    return high


def _at_most(errors: int, cases: int, share: float) -> float:
    """Probability of at most so many errors when each case errs with probability ``share``."""
    if share <= 0:
        return 1.0
    if share >= 1:
        return 0.0
    odds, rest = math.log(share), math.log1p(-share)
    whole = math.lgamma(cases + 1)
    terms = [
        whole - math.lgamma(k + 1) - math.lgamma(cases - k + 1) + k * odds + (cases - k) * rest
        for k in range(errors + 1)
    ]
    return math.fsum(math.exp(term) for term in terms)


def safe_threshold(
    judged: Iterable[tuple[float, bool]], *, most_errors: float, candidates: Sequence[float], level: float = 0.95
) -> float | None:
    """The lowest candidate such that, of the cases at or above it, the share of errors is proven below ``most_errors``.

    ``judged`` are confidences with whether the agent was right. None when no candidate can promise it.
    """
    cases = list(judged)
    for threshold in sorted(candidates):
        above = [right for confidence, right in cases if confidence >= threshold]
        if above and error_upper(above.count(False), len(above), level=level) <= most_errors:
            return threshold
    return None
