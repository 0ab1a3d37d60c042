"""Draw images/results.svg and speed.svg from the tables of results_tables.md and speed.md.

It prints the summary table of results.md.
"""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).parent
SETS = {"UCSD Ped2, 10 splits": "## UCSD Ped2, 10 splits", "Avenue, 6 clips, 3 folds": "## Six Avenue clips, 3 folds"}
COLUMNS = ("frame_auc", "frame_auc_anomalous", "pixel_auc", "pointing_hit", "rbdc")
STAGES = {"decode": "#8a94a6", "scale": "#5b7fa6", "flow": "#3d9a8b", "features": "#e2a21d", "model": "#e2711d"}
STREAMS = "## Cameras"
TRIVIAL = ("normality_knn", "motion_only", "central_box", "full_frame", "chance")


def rows(text: str, heading: str) -> dict[str, dict[str, str]]:
    """The first table below a heading: numbers as written, by row and column."""
    lines = text.split(heading + "\n", 1)[1].splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("| row |"))
    table = []
    for line in lines[first:]:
        if not line.startswith("|"):
            break
        table.append([cell.strip().strip("*") for cell in line.strip("|").split("|")])
    head, _, *body = table
    return {row[0]: dict(zip(head[1:], row[1:], strict=True)) for row in body}


def summary(text: str) -> list[str]:
    """The lines of the summary table: all methods, then baselines, on both data sets."""
    tables = [rows(text, heading) for heading in SETS.values()]
    shown = [name for name in tables[0] if name not in (*TRIVIAL, "mean_prior", "grid_oracle")] + list(TRIVIAL[:3])
    columns = ("frame_auc", "pixel_auc", "pointing_hit", "rbdc")
    head = " | ".join([f"{name} {column}" for name in ("Ped2", "Avenue") for column in columns])
    lines = [f"| row | {head} |", "|---|" + "---:|" * (2 * len(columns))]
    for name in shown:
        cells = " | ".join(table[name][column].split(" ")[0] for table in tables for column in columns)
        lines.append(f"| {name if name in TRIVIAL else f'**{name}**'} | {cells} |")
    return lines


def draw(text: str, path: Path) -> None:
    """Two panels, one per data set: time (frame AUC) and place (pointing hit) of each row, with deviations."""
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    mpl.rcParams["svg.hashsalt"] = "wherewhen"
    figure = Figure(figsize=(9.5, 5.2), layout="constrained")
    panels = figure.subplots(1, 2, sharex=True)
    for axes, (title, heading) in zip(panels, SETS.items(), strict=True):
        table = rows(text, heading)
        names = [name for name in table if name not in ("mean_prior", "grid_oracle", "full_frame")]
        names.sort(key=lambda name: (name not in TRIVIAL, float(table[name]["pointing_hit"].split()[0])))
        for number, name in enumerate(names):
            for column, color, shift in (("frame_auc", "#5b7fa6", 0.17), ("pointing_hit", "#e2711d", -0.17)):
                mean, deviation = (float(part) for part in table[name][column].split(" ± "))
                axes.barh(number + shift, mean, 0.32, xerr=deviation, color=color, error_kw={"lw": 0.8, "alpha": 0.6},
                          alpha=0.45 if name in TRIVIAL else 1.0)  # fmt: skip
        axes.set_yticks(range(len(names)), names, fontsize=8)
        axes.set_title(title, fontsize=10)
        axes.set_xlim(0, 1.05)
        axes.spines[["top", "right"]].set_visible(False)
    figure.legend(
        handles=[Patch(color="#5b7fa6"), Patch(color="#e2711d")],
        labels=["when: frame AUC", "where: pointing hit"], loc="outside lower center", ncols=2, frameon=False,
    )  # fmt: skip
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def draw_stages(text: str, path: Path) -> None:
    """Milliseconds of one core that a second of each video takes, by stage; a line where two cores carry 8 cameras."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams["svg.hashsalt"] = "wherewhen"
    table = rows(text, STREAMS)
    figure = Figure(figsize=(9.5, 0.6 + 0.24 * len(table)), layout="constrained")
    axes = figure.subplots()
    left = dict.fromkeys(table, 0.0)
    for stage, color in STAGES.items():
        lengths = {name: float(row[stage] or 0) for name, row in table.items()}
        axes.barh(list(table), list(lengths.values()), 0.7, list(left.values()), color=color, label=stage)
        left = {name: left[name] + lengths[name] for name in table}
    axes.axvline(250, color="#333333", lw=0.8, ls="--")
    axes.invert_yaxis()
    axes.tick_params(labelsize=8)
    axes.set_xlabel("ms of one core a second of video; dashed: 8 cameras on two cores", fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=len(STAGES), frameon=False, fontsize=9)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


if __name__ == "__main__":
    tables = (HERE / "results_tables.md").read_text(encoding="utf-8")
    draw(tables, HERE / "images" / "results.svg")
    draw_stages((HERE / "speed.md").read_text(encoding="utf-8"), HERE / "images" / "speed.svg")
    print("\n".join(summary(tables)))
