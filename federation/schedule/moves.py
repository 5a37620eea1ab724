"""Make before break: from what is placed to what is wanted without a moment of less (DESIGN section 9, I1 to I4). Pure.

A decision's `targets` are what the members should hold now; its `moves` are what is still to come. Each move has replicas that
`from` still holds; `granted` of them were added at `to` on top of what is wanted, and wait there to become available.
Rules, in order:

- what `to` shows as available, for this epoch, is released at `from`; nothing else ever is, no time does it (I3, I4);
- growth that is wanted in itself (the total grew) is given at once, as is a fall of the total; the rest are moves;
- what is granted and not yet released never exceeds the surge, counted over every instant of the change (I1): so a step that
  takes away gives nothing, and the next one gives only when the members confirmed this one.

Copies that are not divided (Duplicated, objects without replicas) go by the copy: all new ones at once, and an old one goes
when the new one that stands for it is healthy.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from federation.api.binding import Decision, Move
from federation.api.lines import AWAY, parse_line

Shares = dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What one member shows of its copy."""

    epoch: int
    """Decision that the copy was last brought in line with; 0 where nothing is known."""
    available: int | None
    """Available replicas; None for a kind that does not count them."""
    healthy: bool
    failing: bool
    caught_up: bool
    """The member's own controllers have seen what we wrote last."""
    away: bool


NOTHING = Standing(epoch=0, available=0, healthy=False, failing=False, caught_up=False, away=False)


def standing(line: str) -> Standing:
    """Read a line of `binding.status.members`."""
    fields = parse_line(line)
    observed, _, wanted = fields.get("generation", "").partition("/")
    counted = fields.get("available") or fields.get("ready") or fields.get("podsReady")
    available = None
    if counted is not None:
        available = _number(counted) + _number(fields.get("succeeded", "0"))
    health = fields.get("health")
    return Standing(
        epoch=0 if fields.get("reason") else _number(fields.get("epoch", "0")), available=available,
        healthy=health == "Healthy", failing=health == "Unhealthy", caught_up=observed == wanted,
        away=fields.get("reason") in AWAY,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Course:
    """The next step: what the members should hold now, and the moves that stay open."""

    targets: Shares
    moves: tuple[Move, ...] = ()


def divides(decision: Decision) -> bool:
    """Whether the shares of a decision are parts of one number: then moves go by the replica, else by the copy."""
    inputs: Mapping[str, Any] = orjson.loads(decision.inputs)
    return bool(inputs.get("replicas")) and _is_divided(inputs)


def is_divided(decision: Decision) -> bool:
    """Whether the decision divides the replicas (then the copy's number is its share), from its recorded placement."""
    return _is_divided(orjson.loads(decision.inputs))


def _is_divided(inputs: Mapping[str, Any]) -> bool:
    scheduling = (inputs.get("placement") or {}).get("replicaScheduling")
    return scheduling is not None and scheduling.get("replicaSchedulingType", "Divided") == "Divided"


def goal_of(decision: Decision) -> Shares:
    """What a decision leads to once its moves are done: the previous result for everything that comes after it."""
    if not decision.moves:
        return decision.targets
    if not divides(decision):
        leaving = {move.from_ for move in decision.moves}
        return {name: count for name, count in decision.targets.items() if name not in leaving}
    goal = dict(decision.targets)
    for move in decision.moves:
        goal[move.from_] = goal.get(move.from_, 0) - move.replicas
        goal[move.to] = goal.get(move.to, 0) - move.granted + move.replicas
    return {name: count for name, count in goal.items() if count > 0}


def begin(
    before: Mapping[str, int],
    goal: Mapping[str, int],
    *,
    in_force: Decision | None,
    lines: Mapping[str, str],
    seen: Mapping[str, int],
    surge: int,
    divided: bool,
    reason: str,
) -> Course:
    """The first step from `before` (what members hold) to `goal`.

    `in_force`: the decision whose open moves it replaces. `seen`: replicas of the copies as the members' watches show them.
    """
    if not divided:
        if before.keys() <= goal.keys():
            return Course(targets=dict(sorted(goal.items())))  # nothing leaves
        standings = _standings(in_force, lines) if in_force is not None else {}
        return _copies(
            before, goal, standings, open_moves=in_force.moves if in_force is not None else (), reason=reason
        )
    base: Mapping[str, int] = before
    moves: tuple[Move, ...] = ()
    if in_force is not None and in_force.moves:
        secure, moves = _released(in_force, _standings(in_force, lines))
        base = {name: count for name, count in secure.items() if name in before}
    if not _exchanges(base, goal):
        return Course(targets={name: count for name, count in sorted(goal.items()) if count > 0})
    written = _written(in_force, lines, seen) if in_force is not None else base
    return _divided(base, goal, written=written, underway=_granted(moves), surge=surge, reason=reason)


def advance(decision: Decision, *, lines: Mapping[str, str], seen: Mapping[str, int], surge: int) -> Course | None:
    """The next step of open moves; None while the members give no ground for one. Arguments as for `begin`."""
    if not decision.moves:
        return None
    standings = _standings(decision, lines)
    goal = goal_of(decision)
    if not divides(decision):
        course = _copies(decision.targets, goal, standings, open_moves=decision.moves, reason=decision.moves[0].reason)
    else:
        base, moves = _released(decision, standings)
        course = _divided(
            base, goal, written=_written(decision, lines, seen), underway=_granted(moves), surge=surge,
            reason=decision.moves[0].reason,
        )  # fmt: skip
    unchanged = course.targets == decision.targets and list(course.moves) == list(decision.moves)
    return None if unchanged else course


def stuck(decision: Decision, lines: Mapping[str, str]) -> list[str]:
    """The open moves whose new replicas fail: nothing takes the place of the old ones, which stay (NoSuccessor)."""
    found = []
    for move in decision.moves:
        there = standing(lines.get(move.to, ""))
        refused = parse_line(lines.get(move.to, "")).get("reason", "")
        if not move.to:
            found.append(f"no other copy serves, so {move.from_} keeps its own")
        elif there.failing or refused:
            why = refused or "they do not become available"
            found.append(f"{move.to} does not take {move.replicas or 'the copy'} from {move.from_}: {why}")
    return found


def _exchanges(base: Mapping[str, int], goal: Mapping[str, int]) -> bool:
    """Whether one loses what another one gains: everything else is given, or taken, at once."""
    return any(count > base.get(name, 0) for name, count in goal.items()) and any(
        count > goal.get(name, 0) for name, count in base.items()
    )


def _standings(decision: Decision, lines: Mapping[str, str]) -> dict[str, Standing]:
    """What members show of this very decision: a line of an earlier one says nothing of the replicas that it added."""
    found = {name: standing(line) for name, line in lines.items()}
    return {name: one for name, one in found.items() if one.epoch == decision.epoch}


def _released(decision: Decision, standings: Mapping[str, Standing]) -> tuple[Shares, tuple[Move, ...]]:
    """(what is secure, what stays open) after every grant that became available was released at its source."""
    granted = _granted(decision.moves)
    base = {name: max(0, count - granted.get(name, 0)) for name, count in decision.targets.items()}
    fresh = {
        name: min(count, max(0, _shown(standings.get(name, NOTHING)) - base[name])) for name, count in granted.items()
    }
    left: list[Move] = []
    for move in decision.moves:
        freed = min(move.granted, fresh.get(move.to, 0))
        if freed:
            fresh[move.to] -= freed
            base[move.to] += freed
            base[move.from_] -= freed
        if move.replicas > freed:
            left.append(move.model_copy(update={"replicas": move.replicas - freed, "granted": move.granted - freed}))
    return base, tuple(left)


def _shown(there: Standing) -> int:
    """Replicas that surely serve there: none before the member's controllers have seen what we wrote."""
    return (there.available or 0) if there.caught_up else 0


def _written(decision: Decision, lines: Mapping[str, str], seen: Mapping[str, int]) -> Shares:
    """The most that each member may hold right now: what it should, or more where it has not given that up yet.

    A new process may not have seen a copy yet: then what its line said last counts. Of a member that is away nothing can be
    confirmed: what it was asked to give up counts as given.
    """
    written = dict(decision.targets)
    for name in lines.keys() | seen.keys():
        line = lines.get(name, "")
        count = seen.get(name, _number(parse_line(line).get("wanted", "")))
        if count and not standing(line).away:
            written[name] = max(written.get(name, 0), count)
    return written


def _granted(moves: Sequence[Move]) -> Shares:
    """What waits where to become available; a copy that only waits for another one to serve was added nowhere."""
    found: Shares = {}
    for move in moves:
        if move.granted and move.to:
            found[move.to] = found.get(move.to, 0) + move.granted
    return found


def _divided(
    base: Mapping[str, int],
    goal: Mapping[str, int],
    *,
    written: Mapping[str, int],
    underway: Mapping[str, int],
    surge: int,
    reason: str,
) -> Course:
    """Free growth and free shrinking at once, the rest in pairs, as far as the surge goes.

    `written`: the most that each member may hold now. `underway`: replicas added on top by earlier steps, not released yet.
    """
    targets = dict(base)
    grow = {name: goal[name] - base.get(name, 0) for name in goal if goal[name] > base.get(name, 0)}
    shrink = {name: base[name] - goal.get(name, 0) for name in sorted(base) if base[name] > goal.get(name, 0)}
    limit = max(sum(goal.values()), sum(base.values())) + surge
    free = sum(grow.values()) - sum(shrink.values())
    # Where something is on its way already comes first, so that it is neither taken back nor made twice.
    order = sorted(grow, key=lambda name: (-underway.get(name, 0), name))
    for name, count in _take(free, grow, order).items():
        targets[name] = targets.get(name, 0) + count
    for name, count in _take(-free, shrink, list(shrink)).items():
        targets[name] -= count
    # While this step is carried out a member may hold the old share or the new one: the larger counts.
    peak = sum(max(written.get(name, 0), targets.get(name, 0)) for name in written.keys() | targets.keys())
    moves: list[Move] = []
    for giver, to, replicas in _pairs(shrink, {name: grow[name] for name in order if grow[name]}):
        slack = max(0, written.get(to, 0) - targets.get(to, 0))
        on_top = surge - sum(move.granted for move in moves)
        granted = min(replicas, max(0, on_top), slack + max(0, limit - peak))
        peak += max(0, granted - slack)
        targets[to] = targets.get(to, 0) + granted
        moves.append(_move(giver, to, replicas=replicas, granted=granted, reason=reason))
    return Course(targets={name: count for name, count in sorted(targets.items()) if count > 0}, moves=tuple(moves))


def _take(count: int, available: Shares, order: list[str]) -> Shares:
    """Take up to `count` from `available` in that order; what is taken leaves it."""
    taken: Shares = {}
    for name in order:
        part = min(available[name], count)
        if part > 0:
            taken[name] = part
            available[name] -= part
            count -= part
    return taken


def _pairs(shrink: Mapping[str, int], grow: Mapping[str, int]) -> list[tuple[str, str, int]]:
    """(from, to, replicas), each side in its order."""
    left, pairs = dict(shrink), []
    for to, wanted in grow.items():
        for giver, part in _take(wanted, left, list(left)).items():
            pairs.append((giver, to, part))
    return pairs


def _copies(
    before: Mapping[str, int],
    goal: Mapping[str, int],
    standings: Mapping[str, Standing],
    *,
    open_moves: Sequence[Move],
    reason: str,
) -> Course:
    """Whole copies: every new one now; an old one stays until the new one that stands for it serves.

    Where no new copy is made, the old one (`to` is empty) stays until any other serves: the last that serves never goes.
    """
    underway = {move.from_: move.to for move in open_moves if move.to in goal}
    new = sorted((goal.keys() - before.keys()) | set(underway.values()))
    serving = {name for name in goal if name in before and _serves(standings.get(name, NOTHING), goal[name])}
    moves: list[Move] = []
    for number, name in enumerate(sorted(before.keys() - goal.keys())):
        to = underway.get(name) or (new[number % len(new)] if new else "")
        if to not in serving and (to or not serving):
            moves.append(_move(name, to, replicas=before[name], granted=before[name], reason=reason))
    held = {move.from_: before[move.from_] for move in moves}
    return Course(targets=dict(sorted({**held, **goal}.items())), moves=tuple(moves))


def _serves(there: Standing, wanted: int) -> bool:
    return there.healthy and there.caught_up and (there.available is None or there.available >= wanted)


def _move(giver: str, to: str, *, replicas: int, granted: int, reason: str) -> Move:
    return Move.model_validate({"from": giver, "to": to, "replicas": replicas, "granted": granted, "reason": reason})


def _number(text: str) -> int:
    return int(text) if text.isdigit() else 0
