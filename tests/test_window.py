"""The replay window: by itself against a plain set, and as both implementations' receivers use it."""

from __future__ import annotations

from types import ModuleType

import pytest
from helpers import FakeAssociation, outcome, outcomes, receiver_of, seal_raw
from hypothesis import given, settings
from hypothesis import strategies as st

from zmqsec import limits
from zmqsec.window import Window

WIDTH = limits.REPLAY_WINDOW


class Model:
    """What a window must do, in so many words: all the numbers that were accepted, and the highest."""

    def __init__(self, first: int, width: int) -> None:
        self.seen, self.width = {first}, width

    def accept(self, sequence: int) -> bool:
        if sequence in self.seen or sequence + self.width <= max(self.seen):
            return False
        self.seen.add(sequence)
        return True


@given(st.integers(1, 40), st.lists(st.integers(0, 100), min_size=1, max_size=200))
def test_window_of_any_width_does_as_the_model(width: int, sequences: list[int]) -> None:
    window, model = Window(sequences[0], width), Model(sequences[0], width)
    for sequence in sequences[1:]:
        accepted = window.check(sequence)
        assert accepted == model.accept(sequence)
        if accepted:
            window.commit(sequence)


def test_window_check_moves_nothing() -> None:
    window = Window(5)
    assert window.check(5000) and window.check(6) and window.check(4)
    assert window.top == 5


STEPS = st.one_of(
    st.integers(-WIDTH - 3, WIDTH + 3),
    st.sampled_from([0, 1, -1, 63, 64, 65, -63, -64, -65, WIDTH - 1, WIDTH, 1 - WIDTH, -WIDTH, 2 * WIDTH, 64 * 33]),
)


@settings(max_examples=60, deadline=None)
@given(first=st.integers(0, 5000), steps=st.lists(STEPS, min_size=1, max_size=60))
def test_window_of_a_receiver_does_as_the_model(implementation: ModuleType, first: int, steps: list[int]) -> None:
    """Steps relative to the highest number so far, around the window's and its words' edges."""
    sequences, top = [first], first
    for step in steps:
        sequences.append(max(0, top + step))
        top = max(top, sequences[-1])
    model = Model(-WIDTH, WIDTH)
    expected = ["opened" if model.accept(sequence) else "replayed" for sequence in sequences]
    frames = [seal_raw(FakeAssociation(), sequence=sequence) for sequence in sequences]
    receiver = receiver_of(implementation)
    assert [outcome(one) for one in implementation.open_many(frames, receiver)] == expected


def opened_of(implementation: ModuleType, receiver: object, sequences: list[int]) -> list[str]:
    return outcomes(implementation, [seal_raw(FakeAssociation(), sequence=one) for one in sequences], receiver)


def test_window_accepts_each_number_once_in_any_order(implementation: ModuleType) -> None:
    """Reordered across the whole window: the highest first, then all below it, backwards."""
    receiver = receiver_of(implementation)
    downwards = list(range(WIDTH - 1, -1, -1))
    assert set(opened_of(implementation, receiver, downwards)) == {"opened"}
    assert set(opened_of(implementation, receiver, downwards)) == {"replayed"}
    assert receiver.opened == receiver.refused["replayed"] == WIDTH


def test_window_slides_a_number_at_a_time(implementation: ModuleType) -> None:
    receiver = receiver_of(implementation)
    assert opened_of(implementation, receiver, [0, WIDTH - 1]) == ["opened", "opened"]
    for top in range(WIDTH, WIDTH + 130):
        behind = top - WIDTH
        assert opened_of(implementation, receiver, [top, behind, behind + 1, behind + 1]) == [
            "opened", "replayed", "opened", "replayed",
        ]  # fmt: skip


@pytest.mark.parametrize("jump", [WIDTH, WIDTH + 64, 1 << 20, (1 << 32) - 1])
def test_window_jump_past_its_width_forgets_only_what_is_behind(implementation: ModuleType, jump: int) -> None:
    receiver = receiver_of(implementation)
    assert opened_of(implementation, receiver, [0, jump]) == ["opened", "opened"]
    assert opened_of(implementation, receiver, [0, jump, jump - WIDTH]) == ["replayed"] * 3
    assert opened_of(implementation, receiver, [jump - WIDTH + 1, jump - 1]) == ["opened"] * 2


def test_window_duplicates_within_one_batch_open_once(implementation: ModuleType) -> None:
    receiver = receiver_of(implementation)
    assert opened_of(implementation, receiver, [3, 3, 2, 3, 2]) == [
        "opened", "replayed", "opened", "replayed", "replayed",
    ]  # fmt: skip
