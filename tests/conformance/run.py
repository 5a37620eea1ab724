"""Golden cases of the reference, from any file of their schema: `python tests/conformance/run.py cases.json`.

The runner translates names and compares; rules live in `federation/`. A suite nobody implements counts as skipped, by
name; a deviation on purpose is listed in deviations.toml with its reason. Exit code 1 if a case failed.
"""

import json
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
if str(HERE.parents[1]) not in sys.path:
    sys.path.insert(0, str(HERE.parents[1]))

from tests.conformance.suites import policy, schedule  # noqa: E402 - the path comes first when run as a script

SUITES: dict[str, Callable[[Any, Any], Any]] = {**policy.SUITES, **schedule.SUITES}
COMPARE: dict[str, Callable[[Any, Any], bool]] = {**policy.COMPARE, **schedule.COMPARE}


@dataclass(frozen=True, slots=True)
class Result:
    """One case: passed, failed, skipped or deviates."""

    suite: str
    case: str
    verdict: str
    expected: Any = None
    actual: Any = None


def results(document: Any, deviations: dict[str, str]) -> Iterator[Result]:
    """Run every case of a document. `deviations` maps suite/case to a reason."""
    for name, suite in document["suites"].items():
        check = SUITES.get(name)
        for case in suite["cases"]:
            if check is None:
                yield Result(name, case["id"], "skipped")
            elif f"{name}/{case['id']}" in deviations:
                yield Result(name, case["id"], "deviates")
            else:
                yield _one(name, suite, case, check)


def _one(name: str, suite: Any, case: Any, check: Callable[[Any, Any], Any]) -> Result:
    expected = case["out"]
    try:
        actual = check(suite, case)
    except Exception as error:  # a rule that raises is a failed case, not the end of the run
        return Result(name, case["id"], "failed", expected, f"{type(error).__name__}: {error}")
    if actual is None:
        return Result(name, case["id"], "skipped")
    same = COMPARE.get(name, lambda left, right: left == right)
    try:
        equal = same(expected, actual)
    except (KeyError, TypeError):
        equal = False
    return Result(name, case["id"], "passed" if equal else "failed", expected, actual)


def deviations() -> dict[str, str]:
    """Deviations on purpose, with their reasons."""
    return {key: str(reason) for key, reason in tomllib.loads((HERE / "deviations.toml").read_text()).items()}


def main(file: str) -> int:
    """Print one line a suite, each failure, and the totals."""
    found = list(results(json.loads(Path(file).read_text()), deviations()))
    for suite in dict.fromkeys(one.suite for one in found):
        mine = [one for one in found if one.suite == suite]
        print(f"{suite} {_counts(mine)}")
        for one in mine:
            if one.verdict == "failed":
                print(f"  {one.case}: expected {json.dumps(one.expected)}, came {json.dumps(one.actual, default=str)}")
    print(_counts(found))
    return 1 if any(one.verdict == "failed" for one in found) else 0


def _counts(found: list[Result]) -> str:
    words = ["passed", "failed", "skipped"]
    if any(one.verdict == "deviates" for one in found):
        words.append("deviates")
    return ", ".join(f"{sum(one.verdict == word for one in found)} {word}" for word in words)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: run.py CASES.json")
    sys.exit(main(sys.argv[1]))
