"""What a session of fault tests finds out: references, what was tried, figures."""

import random
import time
from dataclasses import dataclass, field

from tests.faults.rig import Rig
from tests.faults.sweep import Outcome, run

SEEDS = 10**6
KARMADA = {
    "E1": "1 of 3 and 1 of 12 bindings lost the old copy at once, 2/3 available",
    "E2": "the only copy deleted when the timer ran out, 2/2 to 0/2",
    "E3": "the copy runs in the member for ever",
    "E4": "converged 167 s (120 s away) and 58 s (300 s away) after the healing",
    "E5": "60 bindings x 3: 1,636 requests, 279 writes, 1,041 events",
    "E6": "12 bindings in 6 s, 2/s",
}
"""What the same scenarios did there (research, section 5)."""


@dataclass(slots=True)
class Book:
    """References, counts and figures of a whole session."""

    rig: Rig
    seed: int
    full: bool
    report: list[str]
    references: dict[str, Outcome] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)

    def reference(self, scenario: str) -> Outcome:
        """The undisturbed run of a scenario, made once; it must be without fault itself."""
        if scenario not in self.references:
            found = run(self.rig, scenario, linger=1.5)
            wrong = found.compared(found)
            assert not wrong, f"{scenario}, undisturbed:\n" + "\n".join(wrong)
            self.references[scenario] = found
        return self.references[scenario]

    def figure(self, anchor: str, text: str) -> None:
        """A figure beside Karmada's."""
        self.report.append(f"  {anchor}: {text}. Karmada: {KARMADA[anchor]}")

    def tried(self, scenario: str, fault: str, nth: int) -> tuple[Outcome, str]:
        """One run, and what is wrong with it in words that repeat it; empty when it ended as the undisturbed one."""
        case = f"{scenario}/{fault}/{nth}"
        reference = self.reference(scenario)
        outcome = run(self.rig, scenario, fault, nth, seed=hash_of(self.seed, case), like=reference)
        wrong = outcome.compared(reference)
        if not wrong:
            return outcome, ""
        hit = f"; it hit: {', '.join(str(one) for one in outcome.hits[:3])}" if outcome.hits else ""
        again = f".venv/bin/python -m pytest tests/faults/test_sweep.py -m e2e --faults-seed {self.seed} --faults-case '{case}'"
        return outcome, f"{case}, seed {self.seed}{hit}\n  again: {again}\n" + "\n".join(f"  {line}" for line in wrong)


def hash_of(seed: int, case: str) -> int:
    """A seed of the case's own, the same in every process."""
    return random.Random(f"{seed}/{case}").randrange(SEEDS)
