"""What a person has said about each slice, and which accepted slices are held out for good.

Every fourth slice that is accepted for the first time is held out, counted over the whole study in
the order of acceptance. That is decided once: taking the acceptance back, correcting the slice
and accepting it again change nothing, or models could not be compared on slices that none of them
has ever trained on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, get_args

SliceState = Literal["unseen", "predicted", "touched", "accepted", "accepted as empty"]
"""State of a slice; one that nobody has mentioned is "unseen"."""

STATES: tuple[SliceState, ...] = get_args(SliceState)

ACCEPTED: frozenset[SliceState] = frozenset({"accepted", "accepted as empty"})

EVERY = 4
"""One of so many accepted slices is held out."""


class SliceStates:
    """The states of all slices of a study. A slice is a case's name and its canonical z."""

    def __init__(self) -> None:
        self._states: dict[str, dict[int, SliceState]] = {}
        self._order: list[tuple[str, int]] = []
        self._held_out: set[tuple[str, int]] = set()

    def of(self, case: str) -> dict[int, SliceState]:
        """Return z → state of a case; slices that are not there are unseen."""
        return dict(self._states.get(case, {}))

    def set(self, case: str, states: Mapping[int, SliceState]) -> bool:
        """Set the state of some slices of a case; return whether anything changed."""
        there = self._states.setdefault(case, {})
        changed = False
        for z, state in states.items():
            changed |= there.get(z, "unseen") != state
            if state == "unseen":
                there.pop(z, None)
            else:
                there[z] = state
            if state in ACCEPTED and (case, z) not in self._order:
                self._order.append((case, z))
                if len(self._order) % EVERY == 0:
                    self._held_out.add((case, z))
        return changed

    def accepted(self, case: str) -> frozenset[int]:
        """Return the slices that are accepted now, with or without labels."""
        return self._with(case, ACCEPTED)

    def accepted_empty(self, case: str) -> frozenset[int]:
        """Return the slices that are accepted now as having no muscle."""
        return self._with(case, {"accepted as empty"})

    def held_out(self, case: str) -> frozenset[int]:
        """Return the slices that never train, whatever their state is now."""
        return frozenset(z for name, z in self._held_out if name == case)

    def to_json(self) -> dict[str, Any]:
        """Return the states as plain data."""
        return {
            case: {str(z): states[z] for z in sorted(states)}
            for case, states in self._states.items()
        }

    def held_out_to_json(self) -> dict[str, Any]:
        """Return the order of first acceptance and what is held out as plain data."""
        return {
            "every": EVERY,
            "first accepted": [list(entry) for entry in self._order],
            "held out": [list(entry) for entry in self._order if entry in self._held_out],
        }

    @classmethod
    def from_held_out(cls, content: dict[str, Any]) -> SliceStates:
        """Start from what `held_out_to_json` gave, with every slice unseen.

        Raises
        ------
        KeyError, TypeError, ValueError
            If it is not that.
        """
        made = cls()
        made._order = [(str(case), int(z)) for case, z in content["first accepted"]]
        made._held_out = {(str(case), int(z)) for case, z in content["held out"]}
        if not made._held_out <= set(made._order):
            raise ValueError("a slice is held out that was never accepted")
        return made

    def restore(self, content: dict[str, Any]) -> None:
        """Set the states that `to_json` gave.

        Raises
        ------
        TypeError, ValueError, AttributeError
            If it is not that.
        """
        for case, entries in content.items():
            states = {int(z): state for z, state in entries.items()}
            unknown = set(states.values()) - set(STATES)
            if unknown:
                raise ValueError(f"{unknown} are no states of slices")
            self.set(case, states)

    def _with(self, case: str, wanted: Iterable[SliceState]) -> frozenset[int]:
        return frozenset(z for z, s in self._states.get(case, {}).items() if s in wanted)
