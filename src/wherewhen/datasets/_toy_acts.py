"""Activities of the toy data set: normal ones, some of them similar to anomalies, and the seven kinds of anomaly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from wherewhen.datasets import _toy_body as body
from wherewhen.datasets._toy_scene import Scene
from wherewhen.datasets._toy_script import Actor, Ride, Script, Spot, bag
from wherewhen.datasets._toy_stage import OUT, Stage


def _pass(stage: Stage, moment: float, band: str, speed: float, mode: str = "walk") -> list[Actor]:
    z, way = stage.lane(band), stage.way(band)
    script = stage.enter(z, way)
    stage.leave(script, way, speed, z + float(np.clip(stage.rng.normal(0, 0.3), -0.4, 0.4)))
    return [stage.play(script, moment, int(stage.rng.integers(script.frames)))]


def brisk(stage: Stage, moment: float, seconds: float) -> list[Actor]:
    """Someone in a hurry, who still walks."""
    return _pass(stage, moment, str(stage.rng.choice(["plaza", "stream"])), float(stage.rng.uniform(1.8, 2.15)))


def stop(stage: Stage, moment: float, seconds: float) -> list[Actor]:
    """Someone who stops, stands and continues."""
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
    """Someone falls and gets up again after a while."""
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
    pickup = taker_script.frames
    taker_script.carrying = True
    taker_script.stay(0.8, "crouch")
    stage.leave(taker_script, finder_way, stage.pace())
    taker = stage.play(taker_script, moment + seconds, pickup)
    up = taker.first + pickup + round(0.5 * stage.rate)
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
