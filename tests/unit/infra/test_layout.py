"""How a range is cut into zones."""

from __future__ import annotations

import ipaddress
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra import layout


def test_a_16_over_three_zones_is_18s_and_20s() -> None:
    first, second, third = layout.zones("10.0.0.0/16", 3)
    assert first == layout.Zone(0, "10.0.0.0/18", "10.0.192.0/20")
    assert (second.private, third.private) == ("10.0.64.0/18", "10.0.128.0/18")
    assert (second.public, third.public) == ("10.0.208.0/20", "10.0.224.0/20")


@given(st.integers(8, 20), st.integers(2, 6))
def test_no_two_parts_overlap_and_all_lie_in_the_whole(prefix: int, count: int) -> None:
    whole = ipaddress.ip_network(f"10.0.0.0/{prefix}")
    cut = layout.zones(str(whole), count)
    parts = [ipaddress.ip_network(one) for zone in cut for one in (zone.private, zone.public)]
    assert len(cut) == count
    assert all(part.subnet_of(whole) for part in parts)
    assert not any(one.overlaps(other) for one, other in itertools.combinations(parts, 2))
    assert {part.prefixlen for part in parts[::2]} == {parts[0].prefixlen}, "private ranges are equal"


@pytest.mark.parametrize(
    ("cidr", "count", "reason"),
    [
        ("10.0.0.0/23", 3, "too small for 3 zones: each would have a /25; give a /22 or larger"),
        ("10.0.0.1/16", 3, "has host bits set"),
        ("10.0.0.0/33", 3, "expected one such as 10.0.0.0/16"),
        ("fd00::/48", 3, "no IPv4 range"),
        ("8.8.0.0/16", 3, "not private"),
    ],
)
def test_a_range_that_cannot_be_cut_is_refused_with_the_cure(cidr: str, count: int, reason: str) -> None:
    with pytest.raises(layout.LayoutError, match=reason):
        layout.zones(cidr, count)
