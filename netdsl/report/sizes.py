"""Numbers of bytes as people write them."""

from __future__ import annotations

UNITS: dict[str, int] = {"B": 1, **{f"{p}B": 1000**k for k, p in enumerate("KMGT", 1)}}
UNITS |= {f"{p}iB": 1024**k for k, p in enumerate("KMGT", 1)}


def bytes_text(size: int) -> str:
    """`512 B`, `3.1 KiB`, `24 MiB`."""
    if size < 1024:
        return f"{size} B"
    value = float(size)
    for unit in ("KiB", "MiB", "GiB", "TiB"):
        value /= 1024
        if value < 1024 or unit == "TiB":
            break
    return f"{value:.3g} {unit}" if value < 999.5 else f"{value:.0f} {unit}"


def parse_bytes(text: str) -> int:
    """The bytes that `8GiB`, `1.5 GB` or `1048576` mean; raises ValueError for anything else."""
    number = text.rstrip("BKMGTi ")
    unit = text[len(number) :].strip() or "B"
    digits = number.replace(".", "", 1)
    if unit not in UNITS or not (digits.isascii() and digits.isdigit()) or len(digits) > 20:
        raise ValueError(f"{text!r} is no size such as 8GiB or 512MB")
    whole, _, rest = number.partition(".")
    return int(whole + rest) * UNITS[unit] // int("1" + "0" * len(rest))
