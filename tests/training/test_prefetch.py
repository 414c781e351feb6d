"""Reading ahead changes nothing but the time."""

import threading

import pytest

from mlic.training.prefetch import prefetch


@pytest.mark.parametrize("ahead", [True, False])
@pytest.mark.parametrize("number", [0, 1, 2, 5])
def test_order_and_pairs_are_kept(number, ahead):
    expected = [(i, i * i) for i in range(number)]
    assert list(prefetch(range(number), lambda i: i * i, ahead)) == expected


def test_the_next_is_made_while_this_one_is_used():
    made = [threading.Event() for _ in range(3)]
    pairs = prefetch(range(3), lambda i: made[i].set())
    next(pairs)
    assert made[1].wait(5) and not made[2].is_set()


def test_not_ahead_is_at_its_turn_and_here():
    threads = []
    pairs = prefetch(range(3), lambda _: threads.append(threading.current_thread()), ahead=False)
    next(pairs)
    assert threads == [threading.current_thread()]


def test_an_error_comes_at_its_turn_and_the_thread_ends():
    def make(i):
        if i == 1:
            raise ValueError("of number 1")
        return i

    before = set(threading.enumerate())
    pairs = prefetch(range(3), make)
    assert next(pairs) == (0, 0)
    with pytest.raises(ValueError, match="of number 1"):
        next(pairs)
    assert set(threading.enumerate()) <= before


def test_whoever_stops_early_leaves_no_thread():
    before = set(threading.enumerate())
    pairs = prefetch(range(9), str)
    next(pairs)
    pairs.close()
    assert set(threading.enumerate()) <= before
