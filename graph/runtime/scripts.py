"""Lua scripts: one atomic step on the server each, declared once at import and called by digest."""

import hashlib
import re


class Script:
    """A script and how it may be called, read from its own source.

    ``KEYS[n]`` and ``local a, b = unpack(KEYS)`` say how many keys it takes, the same for ``ARGV``; a source that counts
    or walks a table (``#ARGV``, ``ARGV[at]``) takes any number from there up.
    """

    __slots__ = ("_args", "_keys", "sha", "source")

    def __init__(self, source: str) -> None:
        """Declare a script.

        Raises:
            ValueError: the source skips a key or an argument.
        """
        self.source = source.strip()
        self.sha = hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()
        self._keys = _accepted("KEYS", self.source)
        self._args = _accepted("ARGV", self.source)

    def check(self, keys: int, args: int) -> None:
        """Refuse a call the script was not written for.

        Raises:
            TypeError: too few or too many keys or arguments.
        """
        if keys not in self._keys or args not in self._args:
            raise TypeError(
                f"The script takes {_words(self._keys)} keys and {_words(self._args)} arguments, not {keys} and {args}."
            )


_ANY = 1 << 20


def _accepted(table: str, source: str) -> range:
    """How many values of a table the source takes."""
    unpacked = re.findall(rf"local\s+([\w,\s]+?)\s*=\s*unpack\({table}\)", source)
    rest = re.sub(rf"local\s+[\w,\s]+?\s*=\s*unpack\({table}\)", "", source)
    numbered = {int(at) for at in re.findall(rf"\b{table}\[(\d+)\]", rest)}
    highest = max(numbered, default=0)
    if not unpacked and numbered != set(range(1, highest + 1)):
        missing = min(set(range(1, highest)) - numbered)
        raise ValueError(f"The script uses {table}[{highest}] but never {table}[{missing}].")
    least = max(highest, *(names.count(",") + 1 for names in unpacked), 0)
    walks = re.search(rf"\b{table}\b(?!\[\d+\])", rest)
    return range(least, _ANY if walks else least + 1)


def _words(accepted: range) -> str:
    return f"{accepted.start}" if len(accepted) == 1 else f"at least {accepted.start}"
