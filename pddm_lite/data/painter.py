"""The painter of the synthetic worlds: an image's appearance and nuisance to its pixels."""

from __future__ import annotations

import numpy as np

SIZE = 64  # pixels, height and width


# ------------------------------------------------------------------------------- the painter
# A number per image has shape [B, 1, 1], a field [B, 64, 64] (or broadcasts to it), a colour is
# three numbers. Only + - * / sqrt in float32, which IEEE 754 rounds alike everywhere; constants are
# Python's floats, since numpy 1 and 2 promote its own scalars differently.

_X = np.arange(SIZE, dtype=np.float32).reshape(1, 1, SIZE)
_Y = np.arange(SIZE, dtype=np.float32).reshape(1, SIZE, 1)


def _numbers(rows):
    return [np.ascontiguousarray(c, np.float32).reshape(-1, 1, 1) for c in rows.T]


def _span(z, low, high):
    """Latent -> parameter between low and high; nearly linear for |z| < 2, never saturated."""
    return low + (high - low) * (0.5 + 0.5 * z / np.sqrt(z * z + 2.5))


def _between(u, low, high):
    return low + (high - low) * u


def _colour(light, warm, green):
    """Opponent latents -> RGB in [0.02, 0.98]."""
    light, warm, green = _span(light, 0.0, 1.0), _span(warm, -0.5, 0.5), _span(green, -0.3, 0.3)
    channels = light + warm, light + green, light - warm - 0.3 * green
    return [np.clip(c, 0.02, 0.98) for c in channels]


def _sky(red, green, blue):
    red, blue = _between(red, 0.45, 0.9), _between(blue, 0.65, 1.0)
    return [red, 0.5 * (red + blue) + _between(green, -0.1, 0.1), blue]


def _grey(value):
    return [value, value, value]


def _mix(a, b, t):
    return [x + (y - x) * t for x, y in zip(a, b, strict=True)]


def _edge(inside):
    """Signed depth in pixels -> coverage in [0, 1], antialiased over one pixel."""
    return np.clip(inside + 0.5, 0, 1)


def _ellipse(u, v, a, b, pixel, soft=1.0):
    """Coverage of (u/a)^2 + (v/b)^2 < 1; `pixel` is a pixel's size in the units of a and b."""
    u, v = u * (1 / a), v * (1 / b)
    u *= u
    v *= v
    q = u + v
    # Across its edge q rises by 2 / radius per unit, hence by 1 in `sharp` pixels.
    sharp = np.minimum(a, b, dtype=np.float32) / (2 * pixel * soft)
    q *= -sharp
    q += sharp
    return _edge(q)


def _box(u, v, a, b, pixel, taper=0.0):
    """Coverage of |u| < a, |v| < b; a shrinks by `taper` of itself towards the top."""
    across = (a * (1 + taper * (v / b - 1) * 0.5) - np.abs(u)) / pixel
    return _edge(across) * _edge((b - np.abs(v)) / pixel)


def _turn(u, v, x, y, t):
    """Coordinates about (x, y), turned by the angle 2 atan(t): rational in t, no sine needed."""
    n = 1 / (1 + t * t)
    c, s = (1 - t * t) * n, 2 * t * n
    return c * u + s * v - (c * x + s * y), c * v - s * u - (c * y - s * x)


def _paint(planes, coverage, colour):
    for plane, c in zip(planes, colour, strict=True):
        step = c - plane
        step *= coverage
        plane += step


def _finish(planes, gains, mirror):
    out = np.empty((*planes[0].shape, 3), np.uint8)
    for k, plane in enumerate(planes):
        plane *= 255 * gains[k]
        out[..., k] = np.clip(plane + 0.5, 0, 255)
    flip = mirror.ravel() < 0.5
    out[flip] = out[flip, :, ::-1]
    return out


# --------------------------------------------------------------------------- birds: soft, posed

_FACE = np.s_[:, :46, 22:]  # heads never leave these rows and columns before mirroring


def _birds(latents, nuisance):
    """[B, 16], [B, 32] -> uint8 [B, 64, 64, 3]: a bird on a branch, seen from the side."""
    z, n = _numbers(latents), _numbers(nuisance)
    coat, wing = _colour(z[0], z[1], z[2]), _colour(z[3], z[4], z[5])
    belly, crown = _colour(z[6] + 1, z[7], 0.5 * z[1]), _colour(z[8], z[9], 0.5 * z[4])
    horn = _mix(_grey(0.15), [0.98, 0.65, 0.1], _span(z[10], 0, 1))
    stout, tail, head = _span(z[11], 0.4, 0.85), _span(z[12], 0.2, 1.5), _span(z[13], 0.28, 0.52)
    beak, bar = _span(z[14], 0.15, 0.95), _span(z[15], -0.25, 0.95)  # below 0 there is no bar

    # Background: sky above, foliage below, three blurred bushes.
    sky = _sky(n[0], n[1], n[2])
    wood = [_between(n[3], 0.15, 0.6), _between(n[4], 0.3, 0.7), _between(n[5], 0.1, 0.4)]
    down = np.clip(_Y / 40 - _between(n[6], -0.2, 1.2), 0, 1)
    planes = [s + (w - s) * (down + 0 * _X) for s, w in zip(sky, wood, strict=True)]
    for k in (7, 10, 13):
        blur = _ellipse(_X - 64 * n[k], _Y - 64 * n[k + 1], 14 + 12 * n[k + 2], 11, 1, soft=6)
        _paint(planes, 0.7 * blur, _mix(wood, sky, n[k + 2] * 0.7))

    # Pose: place, size, tilt; u runs towards the head and v down, in half body lengths.
    x, y, px = _between(n[16], 27, 35), _between(n[17], 27, 35), 1 / _between(n[18], 11, 14)
    tilt, nod, fan = (
        _between(n[19], -0.25, 0.08),
        _between(n[20], -1, 1),
        _between(n[21], -0.1, 0.3),
    )
    u, v = _turn((_X - x) * px, (_Y - y) * px, 0, 0, tilt)

    # Branch and legs stand upright in the picture whatever the tilt.
    foot = y + (stout + 0.35) / px
    slope = foot + (n[22] - 0.5) * 0.4 * (_X - x) - _Y
    bark = _mix([0.25, 0.16, 0.1], [0.55, 0.42, 0.3], n[23])
    _paint(planes, _edge(_between(n[24], 1.2, 2.5) - np.abs(slope + 1)), bark)
    for side in (-0.2, 0.15):
        across, along = (_X - x) * px - side, (_Y - 0.5 * (y + foot)) * px
        _paint(planes, _box(across, along, 0.05, 0.5 * (foot - y) * px, px), horn)

    face = [p[_FACE] for p in planes]

    # Tail, body with belly and shade, wing with bar, head with crown, eye and beak.
    a, b = _turn(u, v, -0.75, 0.0, _between(n[25], -0.2, 0.15))
    _paint(planes, _ellipse(a + 0.5 * tail, b, 0.5 * tail + 0.2, 0.17, px), wing)
    hx, hy = 0.82 + 0.07 * nod, -0.5 * stout - 0.36 + 0.1 * nod
    a, b = _turn(u[_FACE], v[_FACE], 0.5 * hx + 0.1, 0.5 * hy, -0.45)
    _paint(face, _ellipse(a, b, 0.6, 0.85 * head, px), coat)
    body = _ellipse(u, v, 1.0, stout, px)
    _paint(planes, body, coat)
    _paint(planes, body * _ellipse(u - 0.25, v - 0.7 * stout, 0.85, 0.8 * stout, px, 2), belly)
    _paint(planes, body * np.clip(v - 0.1, 0, 0.35), _grey(0))
    a, b = _turn(u, v, 0.35, -0.15 * stout, fan)
    cover = _ellipse(a + 0.62, b, 0.85, 0.55 * stout, px)
    _paint(planes, cover, wing)
    stripe = cover * _edge((0.1 - np.abs(a + 0.5 + 0.3 * b)) / px)
    _paint(planes, stripe * np.maximum(bar, 0), belly)
    _paint(planes, cover * _edge((b - 0.3 * stout) / px), _mix(wing, _grey(0), 0.4))
    a, b = _turn(u[_FACE], v[_FACE], hx, hy, _between(n[26], -0.2, 0.15))
    length = beak * 0.9
    taper = np.clip(1 - (a - 0.8 * head) / (length + 0.2 * head), 0, 1) * 0.4 * head
    _paint(face, _edge((taper - np.abs(b - 0.1 * head)) / px) * ((a > 0) & (taper > 0)), horn)
    skull = _ellipse(a, b, head, head, px)
    _paint(face, skull, coat)
    _paint(face, skull * _edge((-0.15 * head - b) / px), crown)
    _paint(face, _ellipse(a - 0.4 * head, b + 0.05, 0.115, 0.115, px), _grey(0.95))
    _paint(face, _ellipse(a - 0.4 * head, b + 0.05, 0.08, 0.08, px), _grey(0.03))
    day = _between(n[27], 0.88, 1.08)
    return _finish(planes, [day * _between(n[k], 0.95, 1.05) for k in (28, 29, 30)], n[31])


# --------------------------------------------------------------------------- cars: rigid, lit


def _cars(latents, nuisance):
    """[B, 16], [B, 32] -> uint8 [B, 64, 64, 3]: a car on a road, seen from the side."""
    z, n = _numbers(latents), _numbers(nuisance)
    paint, roof = _colour(z[0], z[1], z[2]), _colour(z[3], z[4], z[5])
    trim = _colour(z[6], z[7], 0.5 * z[1])
    glass = _colour(0.6 * z[8] - 1, 0 * z[8] - 0.4, 0.4 * z[8])
    hub = _grey(_span(z[9], 0.1, 0.95))
    band, high, cabin = _span(z[10], 0.01, 0.13), _span(z[11], 0.16, 0.34), _span(z[12], 0.14, 0.36)
    length, place, slant = _span(z[13], 0.3, 0.72), _span(z[14], -0.4, 0.22), _span(z[15], 0.1, 0.8)
    wheel = 0.2

    # Background: sky, three houses or hedges, road with a kerb.
    sky = _sky(n[0], n[1], n[2])
    planes = [s + 0 * (_X + _Y) for s in sky]
    px = 1 / _between(n[3], 20, 30)
    x, ground = _between(n[4], 26, 38), _between(n[5], 42, 55)
    for k in (6, 9, 12):
        house = _box(_X - 64 * n[k], _Y - 64, 6 + 10 * n[k + 1], 28 + 22 * n[k + 2], 1)
        _paint(planes, house, [0.3 + 0.5 * n[k + 1], 0.35 + 0.4 * n[k + 2], 0.3 + 0.3 * n[k]])
    road = _between(n[15], 0.3, 0.6)
    _paint(planes, _edge(_Y - ground + 5 + 5 * n[16]), _grey(road + 0.15))
    _paint(planes, _edge(_Y - ground + 2), [road, road, road + 0.05 * n[17]])

    # u runs to the front and v up from the road, in half car lengths; sun from -1 (rear) to 1.
    u, v = (_X - x) * px, (ground - _Y) * px
    sun, bright = _between(n[18], -1, 1), _between(n[19], 0.75, 1.15)
    shade = _ellipse(u + 0.15 * sun, v + 0.03, 1.05, 0.08, px, 2)
    _paint(planes, 0.7 * shade, _grey(0.05))

    base, side = 0.14, bright * (1 + 0.3 * sun * u)  # the side turned to the sun
    lit = [np.clip(c * side, 0, 1) for c in paint]
    top = base + 2 * high
    a, b = u - place, v - (top + cabin)
    shell = _box(a, -b, length, cabin + 0.02, px, slant)
    _paint(planes, shell, [np.clip(c * side, 0, 1) for c in roof])
    pane = _box(a, -b - 0.02, length - 0.07, cabin - 0.05, px, slant)
    _paint(planes, pane * _edge((np.abs(a + 0.05) - 0.035) / px), [c * bright for c in glass])
    gleam = pane * _edge((0.06 - np.abs(a - 0.3 * sun - 0.4 * b)) / px)  # the sky in the glass
    _paint(planes, 0.45 * gleam, sky)

    a, b = u, v - base - high  # an ellipse in the squares, u^4 + v^4 < 1: a box with round corners
    hull = _ellipse(a * np.abs(a), b * np.abs(b), 1, high * high, 2 * high * px)
    hull = hull * _edge((1 - np.abs(u)) / px)
    _paint(planes, hull, lit)
    strip = hull * _edge((band - np.abs(v - base - 1.1 * high)) / px)
    _paint(planes, strip, [c * bright for c in trim])
    shine = np.clip(0.35 - np.abs(v - top + 0.06) * 5, 0, 0.35) * np.clip(0.6 + sun * u, 0, 1)
    _paint(planes, hull * shine, _grey(1))
    _paint(planes, hull * np.clip((base + 0.7 * high - v) * 2, 0, 0.4), _grey(0))
    _paint(planes, _ellipse(u - 0.9, v - base - 1.2 * high, 0.07, 0.07, px), [1.0, 0.95, 0.7])
    _paint(planes, _ellipse(u + 0.93, v - base - 1.2 * high, 0.05, 0.09, px), [0.85, 0.1, 0.08])
    for at in (-0.58, 0.6):
        _paint(planes, _ellipse(u - at, v - wheel, wheel, wheel, px), _grey(0.07))
        _paint(planes, _ellipse(u - at, v - wheel, 0.6 * wheel, 0.6 * wheel, px), hub)
        _paint(planes, _ellipse(u - at, v - wheel, 0.12 * wheel, 0.12 * wheel, px), _grey(0.1))
    return _finish(planes, [_between(n[k], 0.92, 1.06) for k in (20, 21, 22)], n[23])


RENDER = {"birds": _birds, "cars": _cars}
