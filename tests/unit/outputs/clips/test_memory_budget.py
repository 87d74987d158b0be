"""Nobody holds more bytes than there are, and whoever goes gives all of them back."""

from __future__ import annotations

from pipeline.outputs.clips.memory_budget import Budget, Share


def test_no_more_is_taken_than_is_left() -> None:
    budget = Budget(10)
    assert [budget.take(count) for count in (4, 7, 6, 1, 0)] == [True, False, True, False, True]
    assert budget.left == 0
    budget.give(3)
    assert (budget.take(3), budget.left) == (True, 0)


def test_a_share_gives_back_what_it_holds_and_takes_nothing_afterwards() -> None:
    budget = Budget(10)
    with Share(budget) as first, Share(budget) as second:
        assert (first.take(4), second.take(5), second.take(2)) == (True, True, False)
        assert (first.held, second.held, budget.left) == (4, 5, 1)
    assert (first.held, second.held, budget.left) == (0, 0, 10)
    assert not first.take(1)
    assert budget.left == 10


def test_a_share_grows_to_a_total_and_never_shrinks() -> None:
    budget = Budget(10)
    with Share(budget) as share:
        assert [share.grow(total) for total in (3, 3, 2, 8, 11)] == [True, True, True, True, False]
        assert (share.held, budget.left) == (8, 2)
