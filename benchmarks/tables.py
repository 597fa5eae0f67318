"""Tables of the rows of a benchmark, the same on a terminal, on the page and behind the figures."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, median

from rich.table import Table as RichTable
from rows import Row
from summary import ORDER, by_method, figure, means, pair, pick, read_off, sizes, when

JUDGES = {"teachers": "VGG-19", "compact": "the packaged encoder"}
NOTHING = "–"


@dataclass(frozen=True)
class Table:
    """Text in rows and columns; the first column names what the row is of."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def rich_table(table: Table) -> RichTable:
    """For a terminal."""
    shown = RichTable(title=table.title, title_justify="left", title_style="bold")
    for number, name in enumerate(table.header):
        shown.add_column(name, justify="right" if number else "left")
    for row in table.rows:
        shown.add_row(*row)
    return shown


def markdown(table: Table) -> str:
    """For a page."""
    lines = [table.header, ("---", *["---:"] * (len(table.header) - 1)), *table.rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def number(value: float | None, digits: int = 3) -> str:
    """With that many digits that count, and never in powers of ten: 0.0444, 12.3, 1620."""
    if value is None:
        return NOTHING
    short = float(f"{value:.{digits}g}")
    return f"{short:.0f}" if abs(short) >= 10 ** (digits - 1) else f"{short:.{digits}g}"


def ratio(plain: float | None, ours: float | None, digits: int = 1) -> str:
    """How many times as fast, or as little."""
    return NOTHING if plain is None or not ours else f"{plain / ours:.{digits}f} x"


def called(row: Row) -> str:
    """What a row of a table is of."""
    strength = "" if row.strength is None else f"strength {row.strength:g}"
    return ", ".join(filter(None, (row.method, row.setting, strength)))


def two_errors(rows: Sequence[Row], digits: int = 3) -> str:
    """Means of style_error and content_error."""
    if not rows:
        return NOTHING
    style, content = (
        mean(row.figures[name] for row in rows) for name in ("style_error", "content_error")
    )
    return f"{style:.3f} / {content:.{digits}f}"


def over(rows: Sequence[Row], name: str, middle: Callable[[Iterable[float]], float]) -> str:
    """The mean or median of a figure, where every row has it."""
    values = [row.figures[name] for row in rows if name in row.figures]
    return f"{middle(values):.2f}" if values and len(values) == len(rows) else NOTHING


def speed(rows: Sequence[Row]) -> list[Table]:
    """Seconds of every method and way, for each size."""
    ways = [way for way in ("eager", "openvino") if pick(rows, way=way)]
    header = ("method", "ours, s", *(f"{way}, s" for way in ways), "plain, s", "ratio")
    vgg19 = bool(pick(rows, encoder="vgg19"))
    header = (*header, "plain on VGG-19, s", "ratio") if vgg19 else header
    tables = []
    for size in sizes(rows):
        lines = []
        for own in by_method(pick(rows, way="ours", size=size)):
            same = pick(
                rows, method=own.method, setting=own.setting, size=size, strength=own.strength
            )
            ours = own.figures["seconds"]
            others = [figure(same, "seconds", way=w) for w in ways]
            plain = figure(same, "seconds", way="plain", encoder=own.encoder)
            line = [called(own), *map(number, (ours, *others, plain)), ratio(plain, ours)]
            if vgg19:
                large = figure(same, "seconds", way="plain", encoder="vgg19")
                line += [number(large), ratio(large, ours)]
            lines.append(tuple(line))
        tables.append(Table(f"One picture of {size} px", header, tuple(lines)))
    return tables


def memory(rows: Sequence[Row]) -> list[Table]:
    """Peak of every method and way over sizes."""
    header = ["method"]
    for size in sizes(rows):
        header += [f"{size} px, MB", "plain"]
    lines = []
    for method in ORDER:
        own = pick(rows, method=method)
        if own:
            peaks = (
                figure(own, "peak_mb", size=size, way=way)
                for size in sizes(rows)
                for way in ("ours", "plain")
            )
            lines.append((method, *(number(peak, 4) for peak in peaks)))
    return [Table("The most that a process holds", tuple(header), tuple(lines))]


def training(rows: Sequence[Row]) -> list[Table]:
    """Seconds of a step."""
    lines = []
    for own in by_method(pick(rows, way="ours")):
        plain = figure(rows, "seconds", way="plain", setting=own.setting, size=own.size)
        seconds = own.figures["seconds"]
        lines.append((called(own), number(seconds), number(plain), ratio(plain, seconds)))
    header = ("network", "ours, s", "plain, s", "ratio")
    return [Table("One step of training", header, tuple(lines))]


def quality(rows: Sequence[Row]) -> list[Table]:
    """For each judge, methods at their own strength, and over strength."""
    tables = []
    for judge, name in JUDGES.items():
        seen = pick(rows, judge=judge)
        if seen:
            tables += [own_strength(seen, name), over_strength(seen, name)]
    return [table for table in tables if table.rows]


def own_strength(rows: Sequence[Row], judge: str) -> Table:
    """Every method at its own strength, wct at 1 as well."""
    lines = []
    for method, strength in (*((m, None) for m in ORDER), ("wct", 1.0)):
        chosen = pick(rows, method=method, strength=strength)
        result = means(rows, chosen)
        if result and (strength is None or result.pairs > 12):  # the twelve are in the other table
            artefacts = ("blobs", mean), ("nyquist", median), ("border", median)
            lines.append(
                (
                    called(chosen[0]),
                    str(result.pairs),
                    f"{100 * result.share:.1f} %",
                    f"{100 * result.median_share:.1f} %",
                    f"{result.content_error:.2f}",
                    content_beside_gatys(rows, chosen),
                    *(over(chosen, artefact, middle) for artefact, middle in artefacts),
                )
            )
    errors = ("style_error left", "median", "content_error", "beside gatys")
    header = ("method", "pairs", *errors, "blobs", "nyquist", "border")
    return Table(f"At its own strength, seen by {judge}", header, tuple(lines))


def content_beside_gatys(rows: Sequence[Row], chosen: Sequence[Row]) -> str:
    """content_error, and that of gatys where it is as near to the style, on pairs of its curve."""
    curves: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for row in pick(rows, method="gatys"):
        point = row.figures["style_error"], row.figures["content_error"]
        curves.setdefault(pair(row), []).append(point)
    both = [
        (row.figures["content_error"], read_off(curves[pair(row)], row.figures["style_error"]))
        for row in chosen
        if len(curves.get(pair(row), ())) > 1 and row.method not in ("photo", "gatys")
    ]
    return f"{mean(b[0] for b in both):.2f} : {mean(b[1] for b in both):.2f}" if both else NOTHING


def over_strength(rows: Sequence[Row], judge: str) -> Table:
    """style_error / content_error on the pairs that were painted at several strengths."""
    some = {pair(row) for row in rows if row.strength not in (None, 1.0)}
    chosen = [row for row in rows if row.strength is not None and pair(row) in some]
    strengths = sorted({row.strength for row in chosen if row.strength is not None})
    lines = []
    for method in ORDER:
        own = pick(chosen, method=method)
        if own:
            cells = (two_errors(pick(own, strength=strength)) for strength in strengths)
            lines.append((called(own[0].model_copy(update={"strength": None})), *cells))
    header = ("method", *(f"{strength:g}" for strength in strengths))
    title = f"style_error / content_error over strength, seen by {judge} ({len(some)} pairs)"
    return Table(title, header, tuple(lines))


def curve(rows: Sequence[Row]) -> list[Table]:
    """Means over pairs, by steps and start; and the plain way beside ours."""
    ours, plain = pick(rows, way="ours"), pick(rows, way="plain")
    starts = [start for start in ("content", "adain", "wct") if pick(ours, setting=start)]
    lines = []
    for steps in sorted({row.steps or 0 for row in ours}):
        own = [pick(ours, steps=steps, setting=start) for start in starts]
        cells = (two_errors(chosen, 2) for chosen in own)
        lines.append((f"{steps} steps", *cells, str(max(map(len, own)))))
    header = ("style_error / content_error", *(f"from {start}" for start in starts), "pairs")
    return [Table("What it starts from", header, tuple(lines)), beside_plain(ours, plain)]


def beside_plain(ours: Sequence[Row], plain: Sequence[Row]) -> Table:
    """When the plain way has come as near to the style as ours, pair by pair."""
    lines = []
    for own in ours:
        for other in plain:
            if pair(own) == pair(other):
                wanted = own.figures["style_error"]
                end = when(other.series, wanted)
                there = f"{end:.0f}" if end else f"not in {other.figures['seconds']:.0f}"
                times = f"{end / own.figures['seconds']:.0f} x" if end else NOTHING
                seconds = number(own.figures["seconds"])
                name = f"{own.photo}, {own.style}, from {own.setting}, {own.steps} steps"
                lines.append((name, seconds, f"{wanted:.3f}", there, times))
    header = ("ours", "seconds", "style_error", "plain is there after, s", "ratio")
    return Table("Beside the plain way", header, tuple(lines))


def widths(rows: Sequence[Row]) -> list[Table]:
    """What each kind of network has come to."""
    names = ("style_error", "content_error", "blobs", "nyquist")
    lines = [
        (row.setting, str(row.steps), *(number(row.figures.get(name)) for name in names))
        for row in rows
    ]
    return [Table("After equal short trainings", ("network", "steps", *names), tuple(lines))]


def ceilings(rows: Sequence[Row]) -> list[Table]:
    """What the processor can do at most; how much of it every method does, and what the rest is."""
    most = {row.way: row.figures for row in rows if row.way != "ours"}
    header = ("at most", "GFLOP/s, bfloat16", "GFLOP/s, float32", "copying, GB/s")
    units = (("bf16", "gflop_s"), ("fp32", "gflop_s"), ("copy", "gb_s"))
    top = ("", *(number(most.get(way, {}).get(name)) for way, name in units))
    lines = []
    for row in by_method(pick(rows, way="ours")):
        of, ceiling = row.figures, most.get("bf16", {}).get("gflop_s")
        share = f"{100 * of['gflop_s'] / ceiling:.0f} %" if ceiling else NOTHING
        rest = (f"{100 * of[name]:.0f} %" for name in ("products", "memory", "between"))
        speed = (number(of[name]) for name in ("gflop", "seconds", "gflop_s"))
        lines.append((called(row), *speed, share, *rest))
    what = ("GFLOP", "s", "GFLOP/s", "of the most")
    columns = ("method", *what, "time in products", "in memory", "between kernels")
    title = "How near to it the methods come, eager torch"
    return [Table("Ceilings", header, (top,)), Table(title, columns, tuple(lines))]


FILMS = ("frames", "int8", "film", "every", "steady", "folder")
"""The ways of ``suite/films.py``."""


def films(rows: Sequence[Row]) -> list[Table]:
    """Frames a second of every way, and what a film takes over its frames alone."""
    lines = []
    for method in ORDER:
        own = pick(rows, method=method)
        if own:
            paces = {row.way: row.figures["frames_per_second"] for row in own}
            busy = {row.way: row.figures["busy_percent"] for row in own}
            ways = (number(paces.get(way)) for way in FILMS)
            pairs = (("frames", "film"), ("frames", "steady"), ("int8", "steady"))
            costs = (ratio(paces.get(alone), paces.get(whole), 2) for alone, whole in pairs)
            lines.append((method, *ways, *costs, number(busy.get("folder"), 2)))
    costs = ("film costs", "steady costs", "steady over int8")
    header = ("method", *FILMS, *costs, "folder busy, %")
    size = max((row.size or 0 for row in rows), default=0)
    return [Table(f"Frames a second, {size} x {size * 9 // 16} px", header, tuple(lines))]


def steadiness(rows: Sequence[Row]) -> list[Table]:
    """A table for the films of known motion and for every clip, by every judge."""
    groups = dict.fromkeys((row.photo, row.judge) for row in rows)
    return [steadied(pick(rows, photo=clip, judge=judge), clip, judge) for clip, judge in groups]


def steadied(rows: Sequence[Row], clip: str | None, judge: str | None) -> Table:
    """Both errors frame by frame, and those of the other settings over them."""
    frame_by_frame = "stable 0"
    settings = [x for x in dict.fromkeys(row.setting for row in rows) if x != frame_by_frame]
    lines, shares = [], {setting: [] for setting in settings}
    for base in by_method(pick(rows, setting=frame_by_frame)):
        own = {row.setting: row for row in pick(rows, method=base.method, style=base.style)}
        for setting in {*settings} & {*own}:
            shares[setting].append(tuple(ratios(own[setting], base)))
        cells = (both(ratios(own[x], base)) if x in own else NOTHING for x in settings)
        lines.append((f"{base.method}, {base.style}", both(errors(base), 4), *cells))
    means = (both(map(mean, zip(*shares[setting], strict=True))) for setting in settings)
    lines.append(("mean", "", *means))
    header = ("warping_error, style_error", frame_by_frame, *(f"{x}, over it" for x in settings))
    films = f"The clip {clip}" if clip else "Films of known motion"
    return Table(f"{films}, by {judge}", header, tuple(lines))


def errors(row: Row) -> tuple[float, float]:
    """The two of a film."""
    return row.figures["warping_error"], row.figures["style_error"]


def ratios(row: Row, base: Row) -> Iterator[float]:
    """The two of a film over those of another."""
    return (own / other for own, other in zip(errors(row), errors(base), strict=True))


def both(values: Iterable[float], digits: int = 2) -> str:
    """Two figures in a cell."""
    return ", ".join(f"{value:.{digits}f}" for value in values)


TABLES: Mapping[str, Callable[[Sequence[Row]], list[Table]]] = {
    "speed": speed,
    "memory": memory,
    "quality": quality,
    "training": training,
    "curve": curve,
    "ceilings": ceilings,
    "widths": widths,
    "films": films,
    "steadiness": steadiness,
}
