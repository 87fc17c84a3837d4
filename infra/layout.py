"""Arithmetic of addresses, apart from any resource: which ranges an environment's network is cut into."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

SMALLEST_PRIVATE = 24
"""Every pod takes an address of a private subnet: with fewer than 251 of them a node pool cannot grow."""


class LayoutError(ValueError):
    """A range cannot be cut as asked."""


@dataclass(frozen=True, slots=True)
class Zone:
    """The two ranges of one zone: nodes, pods and data live in the private one, only what has to face out in the other."""

    number: int
    private: str
    public: str


def zones(cidr: str, count: int) -> list[Zone]:
    """Cut `cidr` (IPv4) into `count` zones: equal private ranges, as large as can be, and a small public one each.

    The range is halved until there is a part for each zone and one more; that one is halved again into the public ranges. So
    10.0.0.0/16 over three zones gives private /18 and public /20. Raises LayoutError.
    """
    try:
        whole = ipaddress.IPv4Network(cidr)
    except ValueError as error:
        raise LayoutError(f"{cidr!r} is no IPv4 range: {error}; expected one such as 10.0.0.0/16") from error
    if not whole.is_private:
        raise LayoutError(f"{cidr} is not private; take one of 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16")
    halvings = count.bit_length()  # 2 ** halvings is the first power of two past `count`
    private = whole.prefixlen + halvings
    if private > SMALLEST_PRIVATE:
        largest = SMALLEST_PRIVATE - halvings
        raise LayoutError(
            f"{cidr} is too small for {count} zones: each would have a /{private}; give a /{largest} or larger"
        )
    parts = list(whole.subnets(prefixlen_diff=halvings))
    public = list(parts[-1].subnets(prefixlen_diff=max(1, (count - 1).bit_length())))
    return [Zone(number, str(parts[number]), str(public[number])) for number in range(count)]
