"""Times and sizes as people read them."""

from __future__ import annotations

import time

_SPANS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
_SIZES = ("B", "KiB", "MiB", "GiB", "TiB")


def span(seconds: float | None) -> str:
    """A time span in its largest fitting unit: ``42 s``, ``3 h``; a dash for None."""
    if seconds is None:
        return "-"
    for length, name in _SPANS:
        if seconds >= length:
            return f"{int(seconds // length)} {name}"
    return "0 s"


def age(since: float | None, now: float | None = None) -> str:
    """How long ago a Unix time was; clocks that disagree make it 0."""
    if not since:
        return "-"
    return span(max(0.0, (time.time() if now is None else now) - since))


def size(count: int | None) -> str:
    """A number of bytes: ``512 B``, ``1.5 MiB``; a dash for None."""
    if count is None:
        return "-"
    value = float(count)
    for name in _SIZES:
        if value < 1024 or name == _SIZES[-1]:
            return f"{value:.0f} {name}" if name == "B" or value >= 100 else f"{value:.1f} {name}"
        value /= 1024
    raise AssertionError("the last unit takes everything")


def clock(when: float) -> str:
    """A Unix time as local time of day, with the date when it was not today."""
    moment = time.localtime(when)
    form = "%H:%M:%S" if moment[:3] == time.localtime()[:3] else "%Y-%m-%d %H:%M:%S"
    return time.strftime(form, moment)
