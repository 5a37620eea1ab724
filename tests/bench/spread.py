"""`python -m tests.bench.spread`: milliseconds of one selection, by clusters, groups and how the keys lie to one another."""

import statistics
import time
from collections.abc import Callable

from federation.api.placement import SpreadConstraint
from federation.policy.facts import ClusterFacts
from federation.schedule.divide.assign import Candidate, rank
from federation.schedule.errors import ScheduleError
from federation.schedule.spread import select

REPEATS = 15


def fleet(count: int, groups: int, *, crossing: bool) -> list[Candidate]:
    """Clusters in `groups` zones. Nested: zone in region in provider. Crossing: racks and providers cut across the regions."""
    found = []
    for number in range(count):
        zone = number * 7919 % groups
        region = zone // 4
        facts = ClusterFacts(
            f"m{number:04}", region=f"r{region:02}", zones=(f"z{zone:02}",),
            provider=f"p{number % 3 if crossing else region // 4}", labels={"rack": f"k{number % 8}"},
        )  # fmt: skip
        found.append(Candidate(facts, score=100 * (number % 5 == 0), free=number * 31 % 17))
    return rank(found)


def constraint(by: str, least: int, most: int | None = None) -> SpreadConstraint:
    where = {"spreadByLabel": by} if by == "rack" else {"spreadByField": by}
    return SpreadConstraint.model_validate({**where, "minGroups": least, "maxGroups": most})


Asked = tuple[str, list[SpreadConstraint], str, Callable[[int], int]]
NESTED: list[Asked] = [
    ("cluster 3..5", [constraint("cluster", 3, 5)], "DynamicWeight", lambda n: 20),
    ("zone 2..3, cluster 3..5", [constraint("zone", 2, 3), constraint("cluster", 3, 5)], "DynamicWeight", lambda n: 20),
    ("zone 2..3, cluster 3..5, duplicated", [constraint("zone", 2, 3), constraint("cluster", 3, 5)], "Duplicated", lambda n: 5),
    ("zone 2..9, cluster n/4..", [constraint("zone", 2, 9), constraint("cluster", 25)], "DynamicWeight", lambda n: 20),
    ("region 2, zone 3..4, cluster 4..6", [constraint("region", 2), constraint("zone", 3, 4), constraint("cluster", 4, 6)], "DynamicWeight", lambda n: 20),
    ("region 2, zone 3..4, cluster 4..6, tight", [constraint("region", 2), constraint("zone", 3, 4), constraint("cluster", 4, 6)], "DynamicWeight", lambda n: 88),
    ("provider 1..2, region 2..2, zone 3..4, tight", [constraint("provider", 1, 2), constraint("region", 2, 2), constraint("zone", 3, 4), constraint("cluster", 4, 6)], "DynamicWeight", lambda n: 88),
]  # fmt: skip
CROSSING: list[Asked] = [
    ("zone 3, provider 2", [constraint("zone", 3), constraint("provider", 2)], "DynamicWeight", lambda n: 20),
    ("region 2, provider 2..2, cluster 4..6", [constraint("region", 2), constraint("provider", 2, 2), constraint("cluster", 4, 6)], "DynamicWeight", lambda n: 20),
    ("zone 3..4, rack 3..4, cluster 4..6", [constraint("zone", 3, 4), constraint("rack", 3, 4), constraint("cluster", 4, 6)], "DynamicWeight", lambda n: 20),
    ("zone 3..4, rack 3..4, cluster 4..6, tight", [constraint("zone", 3, 4), constraint("rack", 3, 4), constraint("cluster", 4, 6)], "DynamicWeight", lambda n: 90),
]  # fmt: skip


def measure(count: int, groups: int, asked: Asked, *, crossing: bool) -> tuple[float, str]:
    """(median milliseconds, what the answer was)."""
    _, constraints, strategy, replicas = asked
    clusters = fleet(count, groups, crossing=crossing)
    took = []
    answer = ""
    for _ in range(REPEATS):
        start = time.perf_counter()
        try:
            chosen = select(clusters, constraints, strategy=strategy, replicas=replicas(count))
            answer = f"{len(chosen.clusters)} clusters" + (", Approximate" if chosen.approximate else "")
        except ScheduleError as error:
            answer = error.code
        took.append(time.perf_counter() - start)
        if sum(took) > 3:
            break
    return statistics.median(took) * 1000, answer


def main() -> None:
    """Print the table."""
    print(f"{'keys':9} {'clusters':>8} {'groups':>6} {'ms':>9}  constraints: answer")
    for crossing, table in ((False, NESTED), (True, CROSSING)):
        for asked in table:
            for count in (100, 500, 1000):
                for groups in (10, 30, 60):
                    took, answer = measure(count, groups, asked, crossing=crossing)
                    kind = "crossing" if crossing else "nested"
                    print(f"{kind:9} {count:8} {groups:6} {took:9.3f}  {asked[0]}: {answer}")


if __name__ == "__main__":
    main()
