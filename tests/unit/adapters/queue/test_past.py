"""What goes into a commit's metadata comes out again, and never claims that more is done than is."""

from __future__ import annotations

import random

import pytest

from adapters.drivers.queue.past import PREFIX, Past, decode, encode, encode_fresh

LIMIT_BYTES = 4096
NOW = 1_790_000_000.0


def round_trip(watermark: int, past: Past) -> Past:
    text = encode(watermark, past)
    assert len(text.encode()) < LIMIT_BYTES
    return decode(watermark, text)


def test_with_nothing_open_there_is_nothing_to_say() -> None:
    assert encode(7, Past(7)) == ""
    assert decode(7, "") == decode(7, None) == Past(7)


def test_what_is_open_how_often_and_until_when_comes_back() -> None:
    past = Past(
        delivered=120,
        open={100: 1, 101: 1, 102: 3, 110: 2, 119: 300},
        later={125: 2, 130: 1000},
        due={102: NOW + 3600, 119: NOW + 0.25, 130: NOW},
    )
    assert round_trip(100, past) == past


def test_what_is_usual_takes_few_bytes_and_a_short_way() -> None:
    past = Past(1_000_500, dict.fromkeys(range(1_000_000, 1_000_500), 1))
    assert len(encode(1_000_000, past)) < 24
    assert encode_fresh(500) == encode(1_000_000, past)
    assert encode_fresh(500) == encode(0, Past(500, dict.fromkeys(range(500), 1)))


def test_a_thousand_alternating_offsets_fit() -> None:
    past = Past(4000, dict.fromkeys(range(0, 4000, 4), 1))
    assert round_trip(0, past) == past


def test_what_does_not_fit_is_delivered_again_and_no_count_is_lost() -> None:
    open_ = dict.fromkeys(range(0, 20_000, 2), 1) | {15_000: 4, 19_998: 2}
    past = Past(20_000, dict(sorted(open_.items())), due={19_998: NOW})
    known = round_trip(0, past)
    assert 1000 < known.delivered < 15_000, "it tells of a part, and says of which"
    assert known.open == {offset: 1 for offset in open_ if offset < known.delivered}
    assert known.later == {15_000: 4, 19_998: 2}
    assert known.due == {19_998: NOW}


def test_counts_that_do_not_fit_either_are_lost_from_the_end() -> None:
    past = Past(50_000, {offset: 2 + offset % 3 for offset in range(0, 50_000, 5)})
    known = round_trip(0, past)
    told = {**known.open, **known.later}
    assert len(told) > 500
    assert all(past.open[offset] == attempts for offset, attempts in told.items())


def test_a_long_queue_of_delays_stays_within_the_limit() -> None:
    past = Past(5000, dict.fromkeys(range(5000), 2), due={offset: NOW + offset * 7.77 for offset in range(5000)})
    known = round_trip(0, past)
    assert known.due.items() <= {k: int(v * 1000) / 1000 for k, v in past.due.items()}.items() or all(
        abs(known.due[offset] - past.due[offset]) < 0.002 for offset in known.due
    )


@pytest.mark.parametrize(
    "text", ["worker-7", "{}", PREFIX, PREFIX + "====", PREFIX + "AA", PREFIX + "AIA", PREFIX + "é", "isthmus2:AAAA"]
)
def test_text_of_another_writer_or_damaged_tells_nothing(text: str) -> None:
    assert decode(42, text) == Past(42)


def test_any_past_comes_back_or_is_understated() -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    for _ in range(100):
        watermark = dice.randrange(1 << 40)
        span = dice.choice([1, 5, 300, 5000])
        density = dice.random()
        offsets = [watermark, *(watermark + i for i in range(1, span) if dice.random() < density)]
        open_ = {offset: dice.choice([1, 1, 1, 1, 2, 5, 400]) for offset in offsets}
        due = {offset: NOW + dice.randrange(10_000_000) / 1000 for offset in offsets if dice.random() < 0.05}
        past = Past(watermark + span, open_, due=due)
        known = round_trip(watermark, past)
        assert known.delivered <= past.delivered
        done_before = set(range(watermark, past.delivered)) - set(open_)
        done_after = set(range(watermark, known.delivered)) - set(known.open)
        assert done_after <= done_before, "it must never call done what is not"
        for offset, attempts in {**known.open, **known.later}.items():
            assert open_[offset] == attempts
        for offset, moment in known.due.items():
            assert abs(due[offset] - moment) < 0.002
