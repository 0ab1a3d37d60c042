"""What happens in the toy: everyday acts, some of them look alike, and the seven kinds of anomaly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from wherewhen.core.values import Floats
from wherewhen.datasets import _toy_body as body
from wherewhen.datasets._toy_scene import Scene
from wherewhen.datasets._toy_script import Actor, Ride, Script, Spot, bag

OUT = 1.2
"""How far beyond the picture's side, in meters, movers come from and go to."""


@dataclass(slots=True)
class Stage:
    """A clip being filled: ``frames`` pictures of a scene at ``rate`` per second, and who is in them."""

    scene: Scene
    rng: np.random.Generator
    rate: float
    frames: int
    actors: list[Actor] = field(default_factory=list)
    tracks: int = 0

    def number(self) -> int:
        """A new track number."""
        self.tracks += 1
        return self.tracks - 1

    def lane(self, band: str) -> float:
        """A depth in meters at which one can walk in a band."""
        low, high = self.scene.bands[band]
        return float(self.rng.uniform(low + 0.45, high - 0.45))

    def ends(self, z: float, out: float = OUT) -> tuple[float, float]:
        """x in meters just beyond the left and the right side of the picture."""
        low, high = self.scene.camera.reach(z)
        return low - out, high + out

    def middle(self, z: float, share: float = 0.6) -> float:
        """Some x in the middle ``share`` of the picture."""
        low, high = self.scene.camera.reach(z)
        return float(self.rng.uniform(low + (1 - share) / 2 * (high - low), high - (1 - share) / 2 * (high - low)))

    def way(self, band: str) -> int:
        """The direction in which one walks there: the stream's, or any."""
        return self.scene.way if band == "stream" else int(self.rng.choice([-1, 1]))

    def pace(self) -> float:
        """An ordinary speed in meters per second."""
        return float(self.rng.uniform(1.0, 1.5))

    def enter(self, z: float, way: int) -> Script:
        """A script that begins beyond the side from which one goes in direction ``way``."""
        low, high = self.ends(z)
        return Script(self.rate, (low if way > 0 else high, z), 0.0 if way > 0 else np.pi)

    def leave(self, script: Script, way: int, speed: float, z: float | None = None) -> None:
        """Walk straight out of the picture in direction ``way``."""
        z = script.at[1] if z is None else z
        script.go((self.ends(z)[way > 0], z), speed)

    def play(self, script: Script, moment: float, done: int, ride: Ride | None = None) -> Actor:
        """Someone who plays a script whose frame ``done`` falls on ``moment`` seconds of the clip."""
        who = body.look(self.rng)
        first = round(moment * self.rate) - done
        return script.play(who, first, self.number(), float(self.rng.uniform(0, 6.28)), ride)

    def clear(self, spots: Floats, first: int, room: float = 0.6) -> bool:
        """Whether nobody stands within ``room`` meters of the way ``(n, 2)``."""
        for other in self.actors:
            low, high = max(first, other.first), min(first + len(spots), other.first + len(other.spots))
            if low < high:
                gap = spots[low - first : high - first] - other.spots[low - other.first : high - other.first]
                if (np.hypot(gap[:, 0], gap[:, 1]) < room).any():
                    return False
        return True

    def add(self, attempt: Callable[[], list[Actor]], tries: int = 10, must: bool = True) -> None:
        """Add what an act gives, tried anew while someone is in its way; without room only if it ``must`` happen."""
        for k in range(tries):
            actors = self._crop(attempt())
            if all(self.clear(a.spots, a.first) for a in actors) or (must and k == tries - 1):
                self.actors += actors
                return

    def add_anomaly(self, attempt: Callable[[], list[Actor]], least: float, most: float) -> None:
        """Add an anomaly that shows for ``least`` to ``most`` seconds, or the best of many attempts."""
        best: tuple[float, list[Actor]] = (np.inf, [])
        for _ in range(30):
            actors = self._crop(attempt())
            shown = self.shown(actors) / self.rate
            off = max(least - shown, shown - most, 0.0) + (not shown) * 1e3
            if off < best[0]:
                best = (off, actors)
            if not off and all(self.clear(a.spots, a.first) for a in actors):
                best = (0.0, actors)
                break
        self.actors += best[1]

    def _crop(self, actors: list[Actor]) -> list[Actor]:
        return [part for part in (actor.crop(self.frames) for actor in actors) if part]

    def shown(self, actors: list[Actor]) -> int:
        """In how many frames the middle of something anomalous is in the picture and nothing stands before it."""
        camera = self.scene.camera
        seen = np.zeros(self.frames, bool)
        for actor in actors:
            hot = np.flatnonzero(actor.hot)
            where, far = camera.project(actor.points[hot].mean(1))
            column, row = where.astype(int).T
            inside = (column >= 0) & (column < camera.width) & (row >= 0) & (row < camera.height)
            hot, column, row, far = hot[inside], column[inside], row[inside], far[inside]
            seen[actor.first + hot[self.scene.near[row, column] > far]] = True
        return int(seen.sum())


def _pass(stage: Stage, moment: float, band: str, speed: float, mode: str = "walk") -> list[Actor]:
    z, way = stage.lane(band), stage.way(band)
    script = stage.enter(z, way)
    stage.leave(script, way, speed, z + float(np.clip(stage.rng.normal(0, 0.3), -0.4, 0.4)))
    return [stage.play(script, moment, int(stage.rng.integers(script.frames)))]


def brisk(stage: Stage, moment: float, seconds: float) -> list[Actor]:
    """Someone in a hurry, who still walks."""
    return _pass(stage, moment, str(stage.rng.choice(["plaza", "stream"])), float(stage.rng.uniform(1.8, 2.15)))


def stop(stage: Stage, moment: float, seconds: float) -> list[Actor]:
    """Someone who stops, stands and goes on."""
    return _pause(stage, moment, [("stand", seconds)])


def crouch(stage: Stage, moment: float, seconds: float) -> list[Actor]:
    """Someone who ties a shoe."""
    return _pause(stage, moment, [("stand", 0.5), ("crouch", min(seconds, 4.0)), ("stand", 0.4)])


def _pause(stage: Stage, moment: float, steps: list[tuple[str, float]]) -> list[Actor]:
    z, way, speed = stage.lane("plaza"), stage.way("plaza"), stage.pace()
    script = stage.enter(z, way).go((stage.middle(z), z), speed)
    done = script.frames
    for mode, seconds in steps:
        script.stay(seconds, mode)
    stage.leave(script, way, speed)
    return [stage.play(script, moment, done)]


def _pair(stage: Stage, z: float, x: float, gap: float) -> tuple[Script, Script, int]:
    """Two who come from both sides and stand face to face at the same frame."""
    left, right = stage.enter(z, 1), stage.enter(z, -1)
    speed = stage.pace()
    for script, side in ((left, -1), (right, 1)):
        script.go((x + side * gap / 2, z), speed)
    done = max(left.frames, right.frames)
    return left, right, done


def meet(stage: Stage, moment: float, seconds: float) -> list[Actor]:
    """Two people who meet, stand together and talk."""
    z = stage.lane("plaza")
    scripts = _pair(stage, z, stage.middle(z), float(stage.rng.uniform(0.8, 1.1)))[:2]
    actors = []
    for script, way in zip(scripts, (1, -1), strict=True):
        done = script.frames
        script.stay(seconds, "stand")
        stage.leave(script, way, stage.pace(), z + way * 0.35)
        actors.append(stage.play(script, moment, done))
    return actors


def group(stage: Stage, moment: float, seconds: float) -> list[Actor]:
    """Three or four people who walk side by side."""
    band = str(stage.rng.choice(["plaza", "stream"]))
    low, high = stage.scene.bands[band]
    way, speed, count = stage.way(band), stage.pace() * 0.9, int(stage.rng.integers(3, 5))
    z0 = stage.rng.uniform(low + 0.4, max(low + 0.41, high - 0.4 - 0.75 * (count - 1)))
    actors = []
    for k in range(count):
        z = float(min(z0 + 0.75 * k, high - 0.3))
        script = stage.enter(z, way).go((stage.middle(z0, 0.0) - way * stage.rng.uniform(0, 0.9), z), speed)
        done = script.frames
        stage.leave(script, way, speed)
        actors.append(stage.play(script, moment, done))
    return actors


def _handled(stage: Stage, owner: Actor, down: int, up: int, taker: Actor | None = None) -> Actor:
    """The bag that ``owner`` carries, puts down at its frame ``down``; lifted at clip frame ``up`` by the taker."""
    taker = taker or owner
    end = max(owner.first + len(owner.points), taker.first + len(taker.points), up)
    places = np.zeros((end - owner.first, 3))
    facing = np.zeros(len(places))
    at = np.arange(owner.first, end)
    hands = owner.points[:, body.HAND + 1]
    ground = hands[min(down, len(hands) - 1)] * [1, 0, 1] + [0, 0.45, 0]
    for holder, these in ((owner, at < owner.first + down), (taker, at >= up)):
        rows = (at[these] - holder.first).clip(0, len(holder.points) - 1)
        places[these] = holder.points[rows, body.HAND + 1]
        ahead = holder.points[rows, body.TOE + 1] - holder.points[rows, body.ANKLE + 1]
        facing[these] = np.arctan2(ahead[:, 2], ahead[:, 0])
    rests = (at >= owner.first + down) & (at < up)
    places[rests] = ground
    facing[rests] = facing[max(down - 1, 0)]
    tones = ((36, 38, 44), (140, 40, 40), (44, 66, 104), (110, 84, 56))
    r, g, b = tones[stage.rng.integers(len(tones))]
    return bag(places, facing, owner.first, stage.number(), (float(r), float(g), float(b)), stage.rate)


def put_bag(stage: Stage, moment: float, seconds: float) -> list[Actor]:
    """Someone who puts a bag down, stands by it and takes it along again."""
    z, way, speed = stage.lane("plaza"), stage.way("plaza"), stage.pace()
    script = stage.enter(z, way)
    script.carrying = True
    script.go((stage.middle(z), z), speed)
    done = script.frames
    down = done + round(0.5 * stage.rate)
    script.stay(0.5, "crouch").stay(seconds, "stand")
    up = script.frames + round(0.4 * stage.rate)
    script.stay(0.6, "crouch")
    stage.leave(script, way, speed)
    owner = stage.play(script, moment, done)
    return [owner, _handled(stage, owner, down, owner.first + up)]


def running(stage: Stage, moment: float, seconds: float) -> list[Actor]:
    """Someone runs."""
    band = str(stage.rng.choice(["plaza", "plaza", "stream"]))
    z, way, speed = stage.lane(band), stage.way(band), float(stage.rng.uniform(3.0, 4.2))
    script = stage.enter(z, way)
    low, high = stage.scene.camera.reach(z)
    if stage.rng.random() < 0.6:
        script.go((script.at[0] + way * (OUT + stage.rng.uniform(0.5, 3.0)), z), stage.pace())
    done = script.frames
    left = seconds
    while left > 0.05:
        room = (high - 1 - script.at[0]) if way > 0 else (script.at[0] - low - 1)
        step = float(np.clip(left * speed, 0.2, max(room, 0.2)))
        script.go((script.at[0] + way * step, stage.lane(band) if step > 3 else script.at[1]), speed, "run", True)
        left -= step / speed
        if left > 0.05 and band == "plaza":
            way = -way
        elif left > 0.05:
            stage_end = stage.ends(script.at[1])[way > 0]
            script.go((stage_end, script.at[1]), speed, "run", True)
            return [stage.play(script, moment, done)]
    stage.leave(script, way, stage.pace())
    return [stage.play(script, moment, done)]


def wheels(stage: Stage, moment: float, seconds: float) -> list[Actor]:
    """A cyclist, a skater or a cart where people walk."""
    kind = str(stage.rng.choice(list(body.RIDES)))
    band = str(stage.rng.choice(["plaza", "plaza", "stream"])) if kind != "cart" else "plaza"
    speed = float(stage.rng.uniform(*{"bicycle": (3.4, 5.0), "board": (2.8, 4.0), "cart": (2.4, 3.4)}[kind]))
    z, way = stage.lane(band), stage.way(band)
    low, high = stage.ends(z, 1.6)
    script = Script(stage.rate, (low if way > 0 else high, z), soft=0.8)
    while script.seconds < seconds - 1.5 or not script.frames:
        script.go((high if way > 0 else low, stage.lane(band)), speed, body.RIDES[kind], True)
        if band == "stream":
            break
        way = -way
    colors = ((160, 40, 36), (40, 80, 150), (210, 200, 60), (50, 110, 70), (60, 60, 64))
    r, g, b = colors[stage.rng.integers(len(colors))]
    points, shapes = body.vehicle(kind, (float(r), float(g), float(b)))
    return [stage.play(script, moment, 0, Ride(points, shapes, kind == "cart"))]


def wrong_way(stage: Stage, moment: float, seconds: float) -> list[Actor]:
    """Someone walks against the stream, then turns round or leaves."""
    z, way, speed = stage.lane("stream"), -stage.scene.way, float(stage.rng.uniform(1.2, 1.6))
    if stage.rng.random() < 0.5:
        script = stage.enter(z, way)
        done = 0
    else:
        script = stage.enter(z, -way).go((stage.middle(z, 0.3) - way * 0.2 * seconds * speed, z), speed)
        done = script.frames
    end = stage.ends(z)[way > 0]
    x = script.at[0] + way * seconds * speed
    if (end - x) * way > 0:
        script.go((x, stage.lane("stream")), speed, "walk", True)
        stage.leave(script, -way, speed)
    else:
        script.go((end, z), speed, "walk", True)
    return [stage.play(script, moment, done)]


def fight(stage: Stage, moment: float, seconds: float) -> list[Actor]:
    """Two people come to blows."""
    z = stage.lane("plaza")
    scripts = _pair(stage, z, stage.middle(z), 0.75)[:2]
    actors = []
    for script, way in zip(scripts, (1, -1), strict=True):
        done = script.frames
        script.stay(seconds, "fight", True)
        stage.leave(script, -way, stage.pace())
        actors.append(stage.play(script, moment, done))
    return actors


def fall(stage: Stage, moment: float, seconds: float) -> list[Actor]:
    """Someone falls, lies and gets up."""
    band = str(stage.rng.choice(["plaza", "plaza", "stream"]))
    z, way, speed = stage.lane(band), stage.way(band), stage.pace()
    script = stage.enter(z, way).go((stage.middle(z), z), speed)
    done = script.frames
    turn = script.facing + float(stage.rng.uniform(-0.7, 0.7))
    script.stay(max(seconds - 0.8, 0.8), "lie", True, turn).stay(0.8, "crouch", True)
    stage.leave(script, way, speed * 0.8)
    return [stage.play(script, moment, done)]


def abandoned(stage: Stage, moment: float, seconds: float) -> list[Actor]:
    """Someone leaves a bag behind; later another one takes it away."""
    z, way, speed = stage.lane("plaza"), stage.way("plaza"), stage.pace()
    spot: Spot = (stage.middle(z), z)
    script = stage.enter(z, way)
    script.carrying = True
    script.go(spot, speed)
    down = script.frames + round(0.5 * stage.rate)
    script.stay(0.7, "crouch")
    script.carrying = False
    done = script.frames
    stage.leave(script, way, speed * 1.1, z + 0.5)
    owner = stage.play(script, moment, done)
    finder_way = int(stage.rng.choice([-1, 1]))
    taker_script = stage.enter(z - 0.3, finder_way).go((spot[0] - finder_way * 0.3, z - 0.3), stage.pace())
    taken = taker_script.frames
    taker_script.carrying = True
    taker_script.stay(0.8, "crouch")
    stage.leave(taker_script, finder_way, stage.pace())
    taker = stage.play(taker_script, moment + seconds, taken)
    up = taker.first + taken + round(0.5 * stage.rate)
    thing = _handled(stage, owner, down, up, taker)
    at = np.arange(len(thing.points)) + thing.first
    return [owner, taker, replace(thing, hot=(at >= owner.first + done) & (at < up))]


def intrusion(stage: Stage, moment: float, seconds: float) -> list[Actor]:
    """Someone steps over the chain onto the lawn."""
    low, high = stage.scene.bands["lawn"]
    band = min(("stream", "plaza"), key=lambda b: abs(sum(stage.scene.bands[b]) - low - high))
    beyond = stage.scene.bands[band][0] > low
    z = high + 0.8 if beyond else low - 0.8
    way, speed = stage.way(band), stage.pace()
    x = stage.middle(z, 0.5)
    script = stage.enter(z, way).go((x, z), speed)
    done = script.frames
    edge = high if beyond else low
    script.go((x, edge), speed)
    until = done / stage.rate + seconds
    left = max(seconds - 2.0, 0.4)
    while left > 0:
        depth = float(stage.rng.uniform(low + 0.6, high - 0.6))
        target = stage.middle(depth, 0.75)
        step = float(np.clip(target - script.at[0], -left * speed, left * speed))
        script.go((script.at[0] + step, depth), speed)
        if stage.rng.random() < 0.3:
            script.stay(min(0.8, left))
        left = until - script.seconds - 2.0
    script.go((script.at[0] + way * 0.5, edge), speed).go((script.at[0] + way * 0.3, z), speed)
    stage.leave(script, way, speed)
    depths = script.smooth_spots()[:, 1]
    script.hot = ((depths > low) & (depths < high)).tolist()
    return [stage.play(script, moment, done)]


Act = Callable[[Stage, float, float], list[Actor]]

NORMAL: tuple[Act, ...] = (brisk, stop, meet, crouch, group, put_bag)
"""Everyday acts, each of them looks like some anomaly."""

ANOMALIES: dict[str, Act] = {
    act.__name__: act for act in (running, wheels, wrong_way, fight, fall, abandoned, intrusion)
}


def fill(scene: Scene, rng: np.random.Generator, rate: float, frames: int, kind: str | None) -> list[Actor]:
    """Everyone in a clip; ``kind`` None: nothing happens. About every 25 seconds one anomaly, or one act more."""
    stage = Stage(scene, rng, rate, frames)
    seconds = frames / rate
    slots = max(1, round(seconds / 25))
    length = seconds / slots
    for slot in range(slots):
        lasts = float(rng.uniform(0.24, 0.42)) * length
        start = slot * length + float(rng.uniform(0.08, 0.92)) * (length - lasts)
        if kind:
            stage.add_anomaly(partial(ANOMALIES[kind], stage, start, lasts), 0.18 * length, 0.5 * length)
        else:
            stage.add(partial(NORMAL[rng.integers(len(NORMAL))], stage, start, lasts))
    for _ in range(slots + int(rng.integers(0, 2))):
        act = NORMAL[rng.integers(len(NORMAL))]
        start, lasts = float(rng.uniform(0, 0.85) * seconds), float(rng.uniform(2.5, 6.0))
        stage.add(partial(act, stage, start, lasts), must=False)
    crowd = float(rng.uniform(0.75, 1.3))
    for band, pause in (("stream", 4.5), ("plaza", 6.5)):
        t = -6.0
        while t < seconds + 6:
            t += float(rng.exponential(pause / crowd)) + 0.5
            stage.add(partial(_pass, stage, t, band, stage.pace()), 6, must=False)
    return stage.actors
