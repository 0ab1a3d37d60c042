"""Changes that may turn one set of features into another, tried one by one."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from wherewhen.core.values import unit

EXACT = 1e-3  # relative error at which an explanation leaves nothing over
EDGE = 8  # time steps that the end of a video may differ by
STRIDES = (2, 3, 4, 5, 6, 8, 16)
SEGMENTS = (32, 64, 100, 200, 256)
ROWS = 512  # of features that channels are matched by

Array = NDArray[np.float64]
Pairs = list[tuple[Array, Array]]
Guess = tuple[str, str, Pairs]
"""A name, the evidence, and the pairs with the change undone."""


def remaining(pairs: Pairs) -> float:
    """Relative error (L2) over the time steps that both have; inf where sizes don't fit.

    >>> remaining([(np.full((1, 1, 1), 3.0), np.full((2, 1, 1), 2.0))])
    0.5
    """
    errors = sizes = 0.0
    for a, b in pairs:
        count = min(len(a), len(b))
        if a.shape[1:] != b.shape[1:] or not count:
            return float("inf")
        errors += float(np.square(a[:count] - b[:count]).sum())
        sizes += float(np.square(b[:count]).sum())
    return float(np.sqrt(errors / sizes)) if sizes else (0.0 if errors == 0 else float("inf"))


def guesses(pairs: Pairs) -> Iterator[Guess]:
    """Every change that might turn one set ``(T, P, D)`` into the other."""
    one_place = all(a.shape[1] == b.shape[1] for a, b in pairs)
    one_length = all(a.shape[2] == b.shape[2] for a, b in pairs)
    if not one_length:
        yield from _channels(pairs)
        return
    if not one_place:
        yield from _crops(pairs)
        return
    for guess in (_rounding, _ends, _shift, _stride, _segments, _rate, _order, _scale, _unit, _cut, _channels):
        yield from guess(pairs)


def _lengths(pairs: Pairs) -> str:
    return ", ".join(f"{len(a)} and {len(b)}" for a, b in pairs[:3])


def _ends(pairs: Pairs) -> Iterator[Guess]:
    """Clips at the end of one set alone, or another last clip."""
    apart = [len(a) - len(b) for a, b in pairs]
    if any(apart):
        most = max(map(abs, apart))
        name = "tail" if most <= EDGE else "length"
        why = "what is left over at the end of a video" if most <= EDGE else "one stops earlier"
        yield name, f"clips: {_lengths(pairs)}; the shared first ones are equal: {why}", pairs
        return
    for count in range(1, EDGE + 1):
        if all(len(a) > 2 * count for a, _ in pairs):
            cut = [(a[:-count], b[:-count]) for a, b in pairs]
            if remaining(cut) <= EXACT < remaining(pairs):
                yield "tail", f"as many clips, but the last {count} of each video differ", cut
                return


def _shift(pairs: Pairs) -> Iterator[Guess]:
    for step in range(1, EDGE + 1):
        for late, early in (("a", "b"), ("b", "a")):
            shifted = [(a[step:], b) if early == "b" else (a, b[step:]) for a, b in pairs]
            text = f"{late}'s clip k + {step} is {early}'s clip k: one begins {step} clips earlier"
            yield "shift", text, shifted


def _stride(pairs: Pairs) -> Iterator[Guess]:
    """Clips left out; the strides that fit the numbers of clips best come first."""
    candidates = []
    for step in STRIDES:
        for dense in "ab":
            thinned = [(a[::step], b) if dense == "a" else (a, b[::step]) for a, b in pairs]
            apart = max(abs(len(a) - len(b)) for a, b in thinned)
            if apart <= 2:
                candidates.append(
                    (apart, f"one in {step} clips of {dense} is the other's; clips: {_lengths(pairs)}", thinned)
                )
    for _, text, thinned in sorted(candidates, key=lambda candidate: candidate[0]):
        yield "stride", text, thinned


def _segments(pairs: Pairs) -> Iterator[Guess]:
    for long, short in ((0, 1), (1, 0)):
        counts = {len(pair[short]) for pair in pairs}
        if all(len(pair[long]) > len(pair[short]) for pair in pairs) and (len(counts) == 1 or counts & set(SEGMENTS)):
            for text, pool in (("equal spans", _spans), ("spans between rounded borders", _rounded_spans)):
                averaged = [(a, pool(b, len(a))) if long else (pool(a, len(b)), b) for a, b in pairs]
                yield (
                    "segments",
                    f"{'ab'[long]}'s clips averaged over {text} ({_lengths(pairs)}) are the other's",
                    averaged,
                )


def _spans(values: Array, count: int) -> Array:
    first = -(-np.arange(count) * len(values) // count)
    sizes = np.diff([*first, len(values)])
    means: Array = np.add.reduceat(values, first, axis=0) / sizes[:, None, None]
    return means


def _rounded_spans(values: Array, count: int) -> Array:
    """Sultani et al.: from ``round(linspace(0, T, count + 1))``; an empty span holds its first clip."""
    edges = np.round(np.linspace(0, len(values), count + 1)).astype(int)
    parts = [
        values[a : max(b, a + 1)].mean(0) for a, b in zip(edges[:-1].clip(max=len(values) - 1), edges[1:], strict=True)
    ]
    return np.stack(parts)


def _rate(pairs: Pairs) -> Iterator[Guess]:
    """Clips of the same length at other rates: their times differ by a constant factor."""
    factors = [len(b) / len(a) for a, b in pairs if len(a) > 2 * EDGE or len(b) > 2 * EDGE]
    factor = float(np.median(factors)) if factors else 1.0
    if abs(factor - 1) < 0.03:
        return
    retimed = [(_retimed(a, len(b)), b) for a, b in pairs]
    yield (
        "rate",
        f"b has {factor:.3f} times as many clips as a ({_lengths(pairs)}) and follows a at that speed",
        retimed,
    )


def _retimed(values: Array, count: int) -> Array:
    """Values at ``count`` times that are equally far apart, between the two nearest ones."""
    place = ((np.arange(count) + 0.5) * len(values) / count - 0.5).clip(0, len(values) - 1)
    low = np.floor(place).astype(int)
    high, share = np.minimum(low + 1, len(values) - 1), (place - low)[:, None, None]
    mixed: Array = values[low] * (1 - share) + values[high] * share
    return mixed


def _crops(pairs: Pairs) -> Iterator[Guess]:
    """One set has several crops, the other one: their mean, or one of them."""
    for many, single in ((0, 1), (1, 0)):
        if all(pair[single].shape[1] == 1 < pair[many].shape[1] for pair in pairs):
            whole = "ab"[many]
            means = [pair[many].mean(1, keepdims=True) for pair in pairs]
            for text, chosen in [
                (f"the mean of {whole}'s {pairs[0][many].shape[1]} crops or cells is the other's feature", means),
                *(
                    (f"{whole}'s crop or cell {k} is the other's feature", [pair[many][:, k : k + 1] for pair in pairs])
                    for k in range(min(pair[many].shape[1] for pair in pairs))
                ),
            ]:
                reduced = [
                    (pair[0], mean) if many else (mean, pair[1]) for pair, mean in zip(pairs, chosen, strict=True)
                ]
                yield ("averaged crops" if chosen is means else "one crop"), text, reduced


def _order(pairs: Pairs) -> Iterator[Guess]:
    """Crops or cells in another order."""
    count = pairs[0][0].shape[1]
    if count < 2 or count > 256 or any(a.shape[1] != count for a, _ in pairs):
        return
    rows = _shared(pairs)
    a, b = (unit(np.concatenate(part).transpose(1, 0, 2).reshape(count, -1)) for part in zip(*rows, strict=True))
    order = _matched(a @ b.T)
    if order is None or (order == np.arange(count)).all():
        return
    reordered = [(x[:, order], y) for x, y in pairs]
    yield "crop order", f"b's crops or cells are a's in the order {order.tolist()}", reordered


def _scale(pairs: Pairs) -> Iterator[Guess]:
    rows = _shared(pairs)
    size = sum(float(np.square(a).sum()) for a, _ in rows)
    factor = sum(float((a * b).sum()) for a, b in rows) / size if size else 1.0
    if not factor > 0 or abs(factor - 1) < EXACT:
        return
    ranges = {
        255: "0-1 and 0-255",
        1 / 255: "0-255 and 0-1",
        127.5: "-1 to 1 and 0-255",
        1 / 127.5: "0-255 and -1 to 1",
    }
    matches = [text for value, text in ranges.items() if abs(factor / value - 1) < 0.02]
    text = f"b is {factor:.6g} times a" + (f": value ranges {matches[0]}" if matches else "")
    yield "scale", text, [(a * factor, b) for a, b in pairs]


def _unit(pairs: Pairs) -> Iterator[Guess]:
    """One set scaled to unit length, feature by feature."""
    for side, whole in ((1, "a"), (0, "b")):
        lengths = np.concatenate([np.linalg.norm(pair[side], axis=-1).ravel() for pair in pairs])
        if np.abs(lengths[lengths > 0] - 1).max(initial=0) < 0.01:
            scaled = [(unit(a), b) if side else (a, unit(b)) for a, b in pairs]
            yield "l2 normalization", f"{whole} scaled to unit length (L2), feature by feature, is the other", scaled


def _cut(pairs: Pairs) -> Iterator[Guess]:
    """One set taken before a ReLU, the other after."""
    for side, whole in ((1, "a"), (0, "b")):
        if all(pair[side].min(initial=0) >= 0 for pair in pairs) and any(pair[1 - side].min() < 0 for pair in pairs):
            clipped = [(a.clip(0), b) if side else (a, b.clip(0)) for a, b in pairs]
            yield "relu", f"{whole} without its negative values is the other: layers before and after a ReLU", clipped


def _channels(pairs: Pairs) -> Iterator[Guess]:
    """The same channels in another order, or some of them."""
    sizes = {(a.shape[2], b.shape[2]) for a, b in pairs}
    if len(sizes) > 1 or any(a.shape[1] != b.shape[1] for a, b in pairs):
        return
    ((wide_a, wide_b),) = sizes
    rows = [tuple(x.reshape(-1, x.shape[-1]) for x in pair) for pair in _shared(pairs)]
    a, b = (np.concatenate(part) for part in zip(*rows, strict=True))
    chosen = np.linspace(0, len(a) - 1, min(ROWS, len(a))).astype(int)
    a, b = (unit((x[chosen] - x[chosen].mean(0)).T) for x in (a, b))
    order = _matched(b @ a.T if wide_a < wide_b else a @ b.T)
    if order is None or (wide_a == wide_b and (order == np.arange(wide_a)).all()):
        return
    moved = int((order != np.arange(len(order))).sum())
    if wide_a == wide_b:
        yield (
            "channel order",
            f"b's channels are a's in another order ({moved} of {wide_a} moved)",
            [(x[..., order], y) for x, y in pairs],
        )
    elif wide_a > wide_b:
        text = f"b's {wide_b} channels are among a's {wide_a}, from {order.min()} to {order.max()}"
        yield "some channels", text, [(x[..., order], y) for x, y in pairs]
    else:
        text = f"a's {wide_a} channels are among b's {wide_b}, from {order.min()} to {order.max()}"
        yield "some channels", text, [(x, y[..., order]) for x, y in pairs]


def _matched(likeness: Array) -> NDArray[np.intp] | None:
    """For each column the row that is most like it; rows may be left over. None where columns are more than rows."""
    if likeness.shape[0] < likeness.shape[1]:
        return None
    best: NDArray[np.intp] = likeness.argmax(0)
    if len(set(best.tolist())) < len(best):
        from scipy.optimize import linear_sum_assignment

        best = linear_sum_assignment(-likeness.T)[1]
    return best


def _rounding(pairs: Pairs) -> Iterator[Guess]:
    for name, rounded in (("float16", _half), ("bfloat16", _brain)):
        for side, whole in ((1, "a"), (0, "b")):
            rounded_pairs = [(rounded(a), b) if side else (a, rounded(b)) for a, b in pairs]
            if remaining(rounded_pairs) == 0 < remaining(pairs):
                yield "rounding", f"{whole} rounded to {name} is the other, to the last bit", rounded_pairs


def _half(values: Array) -> Array:
    with np.errstate(over="ignore"):
        return values.astype(np.float16).astype(np.float64)


def _brain(values: Array) -> Array:
    bits = values.astype(np.float32).view(np.uint32).astype(np.uint64)
    high_bits = ((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000).astype(np.uint32)
    return high_bits.view(np.float32).astype(np.float64)


def _shared(pairs: Pairs) -> Pairs:
    """The time steps that both have."""
    return [(a[: min(len(a), len(b))], b[: min(len(a), len(b))]) for a, b in pairs]
