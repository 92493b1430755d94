"""Draw the three bundled style images: swirls.jpg, waves.jpg and glass.jpg.

    python tools/draw_styles.py             # writes them to src/impasto/demo/ (numpy and Pillow; about ten seconds)
    python tools/draw_styles.py /tmp/art    # writes them to another folder, with PNG copies

The seeded code below places every stroke and imitates no particular painting, so the images have the license of the
program. The bundled content image portrait.jpg is not drawn here: it is the head and shoulders of NASA's portrait of
the astronaut Eileen Collins (public domain), cropped by hand from scikit-image's `skimage/data/astronaut.png`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

Rng = np.random.Generator
Floats = NDArray[np.float64]
Points = NDArray[np.complex128]  # x + iy: a rotation is a product, a length an absolute value
OUT = (704, 560)  # size of the images; everything is drawn at twice the size and reduced, for smooth edges
W, H = 2 * OUT[0], 2 * OUT[1]
Y, X = np.mgrid[0:H, 0:W].astype(float)
DEMO = Path(__file__).resolve().parent.parent / "src" / "impasto" / "demo"


def palette(text: str) -> Floats:
    """Hexadecimal RGB colors -> (n, 3)."""
    return np.array([list(bytes.fromhex(word)) for word in text.split()], dtype=float)


def noise(rng: Rng, cell_x: float, cell_y: float, octaves: int = 1) -> Floats:
    """Smooth noise over the whole canvas, mean 0 and deviation 1, features of about `cell_x` by `cell_y` pixels."""
    total = np.zeros((H, W))
    for octave in range(octaves):
        grid = rng.standard_normal((max(3, int(H / cell_y * 2**octave)), max(3, int(W / cell_x * 2**octave))))
        layer = Image.fromarray(grid.astype(np.float32)).resize((W, H), Image.Resampling.BICUBIC)
        total += np.asarray(layer) / 1.6**octave
    return (total - total.mean()) / total.std()


def relief(height: Floats) -> Floats:
    """How far a surface is inclined towards a light at the upper left (positive) or away from it (negative)."""
    return -sum(np.gradient(height))


def normals(lines: Points) -> Points:
    """The unit normals along lines (..., points)."""
    along = np.gradient(lines, axis=-1)
    return 1j * along / (np.abs(along) + 1e-9)


def flat(line: Points) -> list[float]:
    """The points of a line in the order of Pillow: x, y, x, y, ..."""
    return np.ascontiguousarray(line).view(float).tolist()


# swirls: strokes of thick paint that follow a current
COOL = palette("080e30 102268 1842a0 166896 2c96a0 8cc4be ece6c4")
WARM = palette("6e2816 c44e16 ee801c e2a434 f6d068 fceebe")
# whirlpools: center and radius (relative to the canvas height), sense of rotation, share of warm colors
EYES = [(0.36 + 0.36j, 0.25, 1, 0.15), (0.93 + 0.27j, 0.17, -1, 1.0), (0.70 + 0.66j, 0.19, 1, 0.3)]
EYES += [(0.16 + 0.80j, 0.15, -1, 0.75), (1.10 + 0.78j, 0.16, 1, 0.9), (0.62 + 0.10j, 0.10, 1, 0.7)]
EYES += [(0.08 + 0.08j, 0.12, -1, 0.5)]


def flow(p: Points) -> Points:
    """The unit direction of the strokes at points: an undulating flow with whirlpools."""
    p = p / H
    v = np.exp(1j * (0.7 * np.sin(5.0 * p.real + 1.5 * p.imag) + 0.5 * np.sin(7.0 * p.imag - 2.0 * p.real)))
    for eye, radius, turn, _ in EYES:
        out = p - eye
        v += 5 * np.exp(-((np.abs(out) / radius) ** 2)) * out / (np.abs(out) + 1e-6) * (1j * turn - 0.15)  # a spiral in
    return v / (np.abs(v) + 1e-9)


def trace(start: Points, step: Floats | float, count: int) -> Points:
    """Follow the flow in both directions from points (n,): paths (n, count); `count` is odd."""
    ahead, behind = [start], [start]
    for _ in range(count // 2):
        ahead.append(ahead[-1] + step * flow(ahead[-1]))
        behind.append(behind[-1] - step * flow(behind[-1]))
    return np.stack([*behind[:0:-1], *ahead], axis=-1)


def stroke_colors(rng: Rng, at: Points, grain: Floats) -> Floats:
    """One color per stroke (n, 3). Noise averaged along the flow gives bands of color that follow the swirls."""
    path = trace(at, 9.0, 41)
    spots = np.clip(path.imag, 0, H - 1).astype(int), np.clip(path.real, 0, W - 1).astype(int)
    tone = grain[spots].mean(axis=1)
    tone = 0.46 + 0.27 * tone / tone.std() + 0.09 * rng.standard_normal(len(at))
    accents = np.roll(grain, (311, 173), (0, 1))[spots][:, 12:29].mean(axis=1)  # rare trails of warm paint
    warmth = np.where(accents > 2.1 * accents.std(), 0.8, 0.01)
    for eye, radius, _, warm in EYES:
        near = warm * np.exp(-((np.abs(at / H - eye) / (0.75 * radius)) ** 2))
        warmth, tone = warmth + near, tone + 0.30 * near
    ramps = [[np.interp(tone, np.linspace(0, 1, len(stops)), c) for c in stops.T] for stops in (WARM, COOL)]
    return np.where(rng.random(len(at)) < warmth, *np.array(ramps)).T + 9 * rng.standard_normal((len(at), 3))


def paint(rng: Rng, draws: list[Any], grain: Floats, count: int, width: float) -> None:
    """Paint a layer of `count` strokes about `width` wide: their colors and the thickness of their paint."""
    points, length, bristles = 21, 50 + 3.6 * width, max(5, round(width / 2.8))
    at = rng.uniform(-40, W + 40, count) + 1j * rng.uniform(-40, H + 40, count)
    eyes = np.repeat(
        [eye[0] * H for eye in EYES], 3
    )  # strokes follow the flow around a center, so some have to start in it
    at[: len(eyes)] = eyes + width / 3 * (rng.standard_normal((len(eyes), 2)) @ (1, 1j))
    paths = trace(at, length / points * rng.uniform(0.6, 1.4, count), points)
    belly = (
        0.45 + 0.55 * np.sin(np.linspace(0.15, np.pi - 0.15, points)) ** 0.6
    )  # pressure is highest in the middle of a stroke
    for path, normal, color in zip(paths, normals(paths), stroke_colors(rng, at, grain), strict=True):
        wide, streaks = width * rng.uniform(0.7, 1.25), rng.standard_normal(bristles)
        for bristle in rng.permutation(bristles):
            side, streak = 2 * (bristle + 0.5) / bristles - 1, streaks[bristle]
            first, last = rng.integers(0, 3, 2) + round(0.3 * wide / length * points * side**2)  # round, ragged tips
            line = flat((path + normal * side * wide / 2 * belly)[first : points - last])
            ink = np.clip(color * (1 + 0.15 * streak) + 7 * streak, 0, 255).astype(int).tolist()
            thick = np.clip(120 + 34 * streak + 50 * abs(side) ** 3 + 20 * rng.standard_normal(), 0, 255)
            draws[0].line(line, fill=tuple(ink), width=max(2, round(wide / bristles + 1.4)))
            draws[1].line(line, fill=int(thick), width=max(2, round(wide / bristles + 1.0)))


def swirls(rng: Rng) -> Floats:
    """Thick, curved brush strokes in a current with whirlpools: blues and teal, ochre, cream and orange."""
    canvas, thickness = Image.new("RGB", (W, H), (8, 14, 48)), Image.new("L", (W, H), 90)
    grain = noise(rng, 34, 34, 2) + 0.8 * noise(rng, 220, 220)
    for count, width in ((1000, 54.0), (2300, 36.0), (2000, 24.0), (600, 15.0)):
        paint(rng, [ImageDraw.Draw(canvas), ImageDraw.Draw(thickness)], grain, count, width)
    height = np.asarray(thickness.filter(ImageFilter.GaussianBlur(1.2)), dtype=float)
    light = np.clip(relief(height), -40, 40)[..., None]
    return np.asarray(canvas) * (1 + 0.012 * light) + 0.8 * np.clip(light, 0, None) ** 1.2


# waves: flat inks, cut along the form
INK, PRUSSIAN, BLUE, PALE, PAPER, RED = "#10162c", "#16346c", "#3a70a8", "#96bece", "#f0e4c8", "#ce4228"
BANDS = [BLUE, PRUSSIAN, PALE, BLUE, PRUSSIAN, PAPER, BLUE, PRUSSIAN, PALE, PRUSSIAN, BLUE, PRUSSIAN]
CUTS = {BLUE: [PALE, PRUSSIAN], PRUSSIAN: [BLUE, INK, PALE] * 3 + [RED], PALE: [BLUE, PAPER], PAPER: [BLUE, PALE]}
# a wave with its crest at height 1: its back and its hollow face, from their feet to the tip of the lip
BACK = "-2.3-1.5j -1.75-0.75j -1.2-0.1j -0.75+0.42j -0.32+0.82j 0.1+1j 0.46+0.9j 0.64+0.64j 0.56+0.44j"
FACE = "2.1-1.5j 1.75-0.7j 1.25-0.18j 0.72 0.28+0.16j 0.06+0.42j 0.12+0.66j 0.36+0.68j 0.56+0.44j"


def smooth(corners: str, count: int) -> Points:
    """A smooth curve near `corners` (Chaikin's corner cutting), resampled to `count` evenly spaced points."""
    p = np.array([complex(word) for word in corners.split()])
    for _ in range(4):
        cut = np.stack([0.75 * p[:-1] + 0.25 * p[1:], 0.25 * p[:-1] + 0.75 * p[1:]], axis=1)
        p = np.concatenate([p[:1], cut.ravel(), p[-1:]])
    run = np.cumsum(np.abs(np.diff(p, prepend=p[0])))
    return np.interp(np.linspace(0, run[-1], count), run, p)


def carve(draw: Any, line: Points, width: float, ink: str, lean: float = 0.5) -> None:
    """Draw a line that tapers at both ends, as cut with a gouge; it is widest at `lean` (0 to 1) of its length."""
    t = np.linspace(0, 1, len(line))
    offset = normals(line) * width / 2 * np.minimum(t / lean, (1 - t) / (1 - lean)) ** 0.6
    draw.polygon(flat(np.concatenate([line + offset, (line - offset)[::-1]])), fill=ink)


def water(rng: Rng, draw: Any, back: Points, face: Points, size: float) -> None:
    """The body of one wave: bands of ink from its foot up to the lip, with cut lines along them."""
    edges = np.insert(np.cumsum(rng.uniform(0.6, 1.5, len(BANDS))), 0, 0.0)
    edges /= edges[-1]
    for low, high, ink in zip(edges, edges[1:], BANDS, strict=False):
        band = np.concatenate([back + low * (face - back), (back + high * (face - back))[::-1]])
        draw.polygon(flat(band), fill=ink)
        for _ in range(int(9 + (30 + 0.14 * size) * (high - low))):
            start, length = rng.integers(0, len(back) - 50), rng.integers(25, 70)
            line = (back + rng.uniform(low, high) * (face - back))[start : start + length]
            carve(draw, line, rng.uniform(0.010, 0.022) * size + 2, rng.choice(CUTS[ink]), rng.uniform(0.2, 0.8))
    for edge in edges:
        outer = edge in {0.0, 1.0}
        carve(draw, back + edge * (face - back), (0.05 if outer else 0.022) * size + 3, INK, 0.6 if outer else 0.35)


def foam(rng: Rng, draw: Any, back: Points, face: Points, size: float) -> None:
    """Foam along a wave's crest: claws hanging from the lip, scalloped clumps, and spray flung about it."""
    for place in np.linspace(0.64, 1.0, 15):
        steps = np.exp(1j * (np.linspace(0, rng.uniform(1.6, 2.6), 16) + 2.02 - 1.6 * place)) * rng.uniform(0.10, 0.26)
        steps = steps if face[0].real > back[0].real else -steps.conj()  # a mirrored wave
        hook = back[int(place * 159)] + size / 16 * np.cumsum(steps)
        carve(draw, hook, 0.085 * size + 5, INK, 0.15)
        carve(draw, hook[:-1], 0.050 * size + 1, PAPER, 0.15)
    places = np.sort(rng.uniform(0.50, 1.0, 84))
    clumps = back[(places * 159).astype(int)] + 0.024 * size * (rng.standard_normal((84, 2)) @ (1, 1j))
    radii = size * rng.uniform(0.010, 0.042, 84) * (0.5 + places / 2)
    for grow, ink in ((0.007 * size + 2, INK), (0.0, PAPER)):  # all of the ink first: it shows only around the clumps
        for middle, radius in zip(clumps, radii, strict=True):
            draw.circle((middle.real, middle.imag), radius + grow, ink)
    for middle, radius in zip(clumps[::2], radii[::2], strict=True):
        arc = middle + 0.7 * radius * np.exp(1j * np.linspace(0.2, 2.2, 14))
        carve(draw, arc, 0.4 * radius, rng.choice([PALE, BLUE]))
    for drop in back[137] + size * (rng.standard_normal((44, 2)) @ (0.34, 0.16j)):
        draw.circle((drop.real, drop.imag), size * rng.uniform(0.002, 0.012) + 3.5, PAPER, INK, 2)


def sky(rng: Rng, draw: Any) -> None:
    """A cream sky with a red sun, and cut lines that bend around it and thicken towards the top."""
    sun, radius = 0.80 * W + 0.20j * H, 0.115 * H
    for row in np.arange(-150, 0.75 * H, 10):
        x, height = -160.0, max(0.0, 1 - row / (0.55 * H))  # 1 at the top, 0 at the horizon
        while x < W + 160:
            xs = np.linspace(x, x + rng.uniform(150, 520), 90)
            line = xs + 1j * (row + 14 * np.sin(xs / 120 + row / 90) + 9 * np.sin(xs / 47 - row / 60)) - sun
            line *= np.sqrt(np.abs(line) ** 2 + (1.12 * radius) ** 2) / (np.abs(line) + 1e-6)  # no line crosses the sun
            ink = rng.choice([PALE, BLUE, PRUSSIAN] if rng.random() < height - 0.25 else [PALE, PALE, BLUE])
            ink = RED if rng.random() < 0.16 - 0.3 * height else ink
            carve(draw, sun + line, 3 + 9 * (0.25 + height) * rng.random(), ink, rng.uniform(0.2, 0.8))
            x = xs[-1] + rng.uniform(-30, 30)
    draw.circle((sun.real, sun.imag), radius + 5, RED, INK, 5)
    for row in np.arange(-0.85, 0.9, 0.16):
        xs = np.linspace(-1, 1, 30) * radius * np.sqrt(1 - row * row) * rng.uniform(0.6, 0.95)
        line = sun + xs + 1j * (radius * row + 5 * np.sin(xs / 30))
        carve(draw, line, rng.uniform(3, 7), rng.choice([PAPER, INK, "#ec7846"]), rng.uniform(0.2, 0.8))


def waves(rng: Rng) -> Floats:
    """A woodcut of rows of curling waves under a red sun: flat inks, swelling outlines, hatching along the form."""
    canvas = Image.new("RGB", (W, H), PAPER)
    draw = ImageDraw.Draw(canvas)
    sky(rng, draw)
    rows = [(0.50, 0.13, 0.30, 0.05, 1), (0.63, 0.22, 0.50, -0.02, 1), (0.74, 0.54, 1.40, 0.40, 1)]
    rows += [(0.93, 0.27, 0.62, 0.02, -1), (1.12, 0.28, 0.56, -0.16, 1)]
    for low, crest, gap, first, way in rows:  # relative to the canvas height, from the horizon to the foreground
        for x in np.arange(first, W / H + 0.3, gap):
            size = crest * H * rng.uniform(0.88, 1.12)
            foot = (x + rng.uniform(-0.05, 0.05)) * H + 1j * (low + rng.uniform(-0.02, 0.02)) * H
            curves = [smooth(shape, 160).conj() * size for shape in (BACK, FACE)]
            back, face = (foot + (curve if way > 0 else -curve.conj()) for curve in curves)
            water(rng, draw, back, face, size)
            foam(rng, draw, back, face, size)
    wood, paper = noise(rng, 260, 5, 2)[..., None], noise(rng, 4, 4)[..., None]
    return np.asarray(canvas) * (1 + 0.030 * wood + 0.022 * paper) + 5 * np.clip(wood - 0.6, 0, None)


# glass: lit panes between lines of lead
NIGHT = palette("101a8c 1e4ed6 5428aa 1478c8 8c32aa 2232be")
DUSK, RAYS = palette("be2878 7832b4 e6505a 3c3cc8 f0825a"), palette("ec3228 ff8c1e d61846 ffbe32")
SUN, HILLS = palette("ffd028 ffb41e ffe878"), palette("108c50 46b43c 086868 b4c832")
WATER, FIELD = palette("0896aa 1ebec8 145ab4 96e0d2"), palette("ce182c f0821e a01050 fabe32 6e1878")
GLASSES = [NIGHT, DUSK, NIGHT, RAYS, RAYS, SUN, HILLS, WATER, FIELD]
SUN_AT = 0.80 + 0.33j


def design(rng: Rng) -> tuple[NDArray[np.int64], Floats]:
    """The large shapes of the window: index into GLASSES of each pixel, and its distance in pixels from a border."""
    x, y = X / H + 0.010 * noise(rng, 260, 260), Y / H + 0.010 * noise(rng, 260, 260)
    out = x + 1j * y - SUN_AT
    edges = [0.14 + 0.10 * np.sin(3.0 * x + 3.4) - y, 0.34 + 0.09 * np.sin(4.0 * x + 1.2) - y]
    edges += [np.abs(out) - 0.285 - 0.035 * np.sin(9 * np.angle(out)), np.abs(out) - 0.185, np.abs(out) - 0.095]
    edges += [0.56 + 0.09 * np.sin(4.6 * x + 0.6) - y, 0.70 + 0.05 * np.sin(6.0 * x + 2.5) - y]
    edges += [0.85 + 0.07 * np.sin(5.0 * x + 4.4) - y]
    shape, far = np.zeros((H, W), dtype=np.int64), np.full((H, W), 1e9)
    for index, edge in enumerate(
        edges
    ):  # a shape covers the pixels where its function is negative, above earlier shapes
        distance = np.abs(edge) / (np.hypot(*np.gradient(edge)) + 1e-9)
        far = np.where(edge < 0, distance, np.minimum(far, distance))  # a shape hides the borders below it
        shape[edge < 0] = index + 1
    return shape, far


def shards(rng: Rng, shape: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats]:
    """Split the shapes into Voronoi panes: seeds (n, 2), pane of each pixel, its distance to the next pane."""
    grid = np.mgrid[0 : H + 40 : 94, 0 : W + 40 : 86].reshape(2, -1).T
    seeds = np.clip(grid + rng.uniform(-42, 42, grid.shape), 0, (H - 1, W - 1)).astype(np.int64)
    kinds = shape[seeds[:, 0], seeds[:, 1]]
    y, x = Y + 7 * noise(rng, 120, 120), X + 7 * noise(rng, 120, 120)  # hand-cut glass has no straight edges
    pane, gap = np.zeros((H, W), dtype=np.int64), np.zeros((H, W))
    for row in range(H):
        far = (y[row, :, None] - seeds[:, 0]) ** 2 + (x[row, :, None] - seeds[:, 1]) ** 2
        far += 1e8 * (shape[row, :, None] != kinds)  # a pane never crosses the border of a shape
        (one, two), here = np.argpartition(far, (0, 1), axis=-1).T[:2], np.arange(W)
        apart = np.linalg.norm(seeds[one] - seeds[two], axis=-1)
        pane[row], gap[row] = one, (far[here, two] - far[here, one]) / (2 * apart + 1e-9)
    return seeds, pane, gap


def fill_panes(rng: Rng, shape: NDArray[np.int64], seeds: NDArray[np.int64], pane: NDArray[np.int64]) -> Floats:
    """Colored glass: every pane has its own two colors, a gradient between them, and streaks along its grain."""
    kinds = [GLASSES[shape[y, x]] for y, x in seeds]
    pairs = np.array([rng.permutation(kind)[:2] * rng.uniform(0.76, 1.22) for kind in kinds])
    out = (X - seeds[pane, 1] + 1j * (Y - seeds[pane, 0])) * np.exp(1j * rng.uniform(0, np.pi, len(seeds)))[pane]
    tile, shift = noise(rng, 150, 9, 2), rng.integers(0, H, len(seeds))[pane]
    tile = np.block([[tile, tile[:, ::-1]], [tile[::-1], tile[::-1, ::-1]]])  # mirrored: a seamless tile
    rows, columns = out.imag + 8 * np.sin(out.real / 40 + shift) + shift, out.real + 2 * shift
    streak = tile[rows.astype(int) % (2 * H), columns.astype(int) % (2 * W)][..., None]
    blend = np.clip(0.35 + out.imag[..., None] / 130 + 0.16 * streak, 0, 1)
    color = pairs[pane, 0] * (1 - blend) + pairs[pane, 1] * blend
    ripple = np.clip(relief(noise(rng, 26, 26, 2)) * 5, -1.5, 1.5)[..., None]
    milk = np.clip(streak - 0.9, 0, 1.2)  # pale threads in the glass
    return color * (1 + 0.16 * streak + 0.14 * ripple) * (1 - 0.3 * milk) + 105 * milk


def glass(rng: Rng) -> Floats:
    """A leaded window: a sun with rays over hills and water, in streaked and bubbled panes lit from behind."""
    shape, border = design(rng)
    seeds, pane, gap = shards(rng, shape)
    uneven = noise(rng, 70, 70, 2)
    clear = np.minimum(border - 9.0 - 2.2 * uneven, gap - 5.0 - 1.6 * uneven)  # pixels from the lead; negative in it
    light = 0.90 + 0.42 * np.exp(-((np.abs((X + 1j * Y) / H - SUN_AT) / 0.55) ** 2))
    light *= 0.50 + 0.58 * np.clip(clear / 34, 0, 1) ** 0.6  # darker along the lead
    bubbles = Image.new("L", (W, H), 128)
    for x, y, r in np.stack([rng.uniform(0, W, 1500), rng.uniform(0, H, 1500), 2.2 + 1.6 * rng.exponential(1, 1500)]).T:
        for offset, radius, tone in ((0.0, 1.0, 60), (0.15, 0.85, 190), (0.35, 0.35, 255)):  # rim, inside, glint
            ImageDraw.Draw(bubbles).circle((x + offset * r, y + offset * r), radius * r, tone)
    window = fill_panes(rng, shape, seeds, pane) * light[..., None] + 0.55 * (np.asarray(bubbles)[..., None] - 128.0)
    lead = np.clip(relief(np.clip(-clear, 0, 7) + 0.5 * noise(rng, 7, 7)), -1.5, 1.5)[..., None]
    window = np.clip(np.where(clear[..., None] < 0, (26, 26, 32) + 22 * lead, window), 0, 255)
    bright = Image.fromarray(np.clip(1.5 * window - 110, 0, 255).astype(np.uint8))
    glow = sum(np.asarray(bright.filter(ImageFilter.GaussianBlur(r)), dtype=float) for r in (8, 40))
    return 255 - (255 - window) * (1 - 0.27 * glow / 255)


def main() -> None:
    """Draw all three images into the demo folder, or into the folder given on the command line."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else DEMO
    folder.mkdir(parents=True, exist_ok=True)
    for seed, draw in ((7, swirls), (11, waves), (5, glass)):
        pixels = np.clip(draw(np.random.default_rng(seed)), 0, 255).astype(np.uint8)
        image, path = Image.fromarray(pixels).resize(OUT, Image.Resampling.LANCZOS), folder / f"{draw.__name__}.jpg"
        image.save(path, quality=88, optimize=True)
        if folder != DEMO:
            image.save(path.with_suffix(".png"))
        print(f"{path}  {path.stat().st_size / 1024:.0f} KB")


if __name__ == "__main__":
    main()
