"""From samples to figures: medians and ratios, Markdown tables, warnings, plots."""

import statistics

UNITS = {"us": "CPU us per request", "us/handshake": "CPU us per handshake with a request", "s/GB": "CPU s per GB"}
BASE, CONTROL, OURS = "nginx", "nginx again", "ringgate"


def median(samples, key):
    return statistics.median(s[key] for s in samples)


def ratio(samples, ours, theirs, key):
    """Median of the ratios of samples of the same round; against a baseline that runs twice, to the mean of both."""
    other = [s[key] for s in samples[theirs]]
    if theirs == BASE and CONTROL in samples:
        other = [(a + s[key]) / 2 for a, s in zip(other, samples[CONTROL])]
    return statistics.median(s[key] / max(o, 1e-9) for s, o in zip(samples[ours], other))


def control(samples, key):
    """By how much the two identical baselines differ: between their medians."""
    if CONTROL not in samples:
        return 0.0
    return abs(median(samples[CONTROL], key) / max(median(samples[BASE], key), 1e-9) - 1)


def best_peer(samples, key):
    return min((name for name in samples if name not in (OURS, CONTROL)), key=lambda name: median(samples[name], key))


def summary(samples, keys, rank):
    """Medians of `keys`, their spread and ratios of one run; `rank` is the key that the contenders are compared by."""
    rows = {}
    for name, own in samples.items():
        row = {key: median(own, key) for key in keys}
        row |= {f"{rank}_min": min(s[rank] for s in own), f"{rank}_max": max(s[rank] for s in own)}
        row["ratio"] = ratio(samples, name, BASE, rank)
        row["errors"] = sum(s["errors"] for s in own)
        row["others"] = median(own, "others")
        row["steal"] = median(own, "steal")
        row["busy"] = median(own, "busy")
        row["ring_threads"] = max(s["ring_threads"] for s in own)
        row["control_ring_threads"] = max(s["control_ring_threads"] for s in own)
        row["new_backend_connections"] = max(s["new_backend_connections"] for s in own)
        rows[name] = row
    verdict = {"control": control(samples, rank)}
    if OURS in samples:
        best = best_peer(samples, rank)
        verdict |= {"best": best, "ratio_to_best": ratio(samples, OURS, best, rank)}
        verdict["ratios"] = {name: ratio(samples, OURS, name, rank) for name in samples if name not in (OURS, CONTROL)}
    return {"rows": rows, "verdict": verdict}


def cost_table(title, unit, result):
    digits = 3 if unit == "s/GB" else 2
    lines = [
        f"| {title} | {UNITS[unit]} | min - max | of it user | ratio to nginx | requests/s | p50 / p99 | CPU busy | iou-wrk (workers + control) |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, r in result["rows"].items():
        lines.append(
            f"| {name} | {r['cost']:.{digits}f} | {r['cost_min']:.{digits}f} - {r['cost_max']:.{digits}f} | {r['user']:.{digits}f} | "
            f"{r['ratio']:.3f} | {r['per_second']:,.0f} | {r['p50_us'] / 1000:.2f} / {r['p99_us'] / 1000:.2f} ms | "
            f"{r['busy']:.0%} | {r['ring_threads']} + {r['control_ring_threads']} |"
        )
    return "\n".join(lines)


def latency_table(title, result):
    lines = [f"| {title} | p50 | p99 | p99 min - max | p99.9 | p99 to nginx | CPU busy |", "|---|---|---|---|---|---|---|"]
    for name, r in result["rows"].items():
        p = {key: r[f"{key}_us"] / 1000 for key in ("p50", "p99", "p99.9")}
        lines.append(
            f"| {name} | {p['p50']:.3f} ms | {p['p99']:.3f} ms | {r['p99_us_min'] / 1000:.3f} - {r['p99_us_max'] / 1000:.3f} | "
            f"{p['p99.9']:.3f} ms | {r['ratio']:.3f} | {r['busy']:.0%} |"
        )
    return "\n".join(lines)


def idle_table(clients, rows):
    lines = [
        f"| {clients:,} idle clients | bytes each (Rss) | Anonymous | Pss | Rss before, after | kernel, each (machine-wide) | cgroup, each | closed |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, r in rows.items():
        grown = {key: (r["after"][key] - was) / clients for key, was in r["before"].items() if was is not None}
        both = " -> ".join(f"{r[when]['Rss'] / 1e6:.1f} MB" for when in ("before", "after"))
        cgroup = f"{grown['cgroup']:,.0f}" if "cgroup" in grown else "not available"
        lines.append(
            f"| {name} | {grown['Rss']:,.0f} | {grown['Anonymous']:,.0f} | {grown['Pss']:,.0f} | {both} | "
            f"{grown['kernel']:,.0f} | {cgroup} | {r['closed']} |"
        )
    return "\n".join(lines)


def verdict_line(result, bar):
    v = result["verdict"]
    if "best" not in v:
        return ""
    others = ", ".join(f"{name} {value:.3f}" for name, value in v["ratios"].items())
    line = f"ringgate : {v['best']} = {v['ratio_to_best']:.3f} (all: {others}); the two nginx differ by {v['control']:.1%}"
    return line + (f"; goal {bar}" if bar else "")


def warnings(title, result, connections, reconnects=True):
    """Why these figures might not be worth their digits."""
    for name, r in result["rows"].items():
        if r["errors"]:
            yield f"{title}, {name}: {r['errors']} errors; its figures say nothing"
        if reconnects and r["new_backend_connections"] > 2 * connections:
            yield f"{title}, {name}: up to {r['new_backend_connections']} new connections to the backend in one sample: it reconnects"
        if r["others"] > 0.05:
            yield f"{title}, {name}: other programs took {r['others']:.0%} of a CPU meanwhile: figures are provisional"
        if r["steal"] > 0.02:
            yield f"{title}, {name}: the hypervisor took {r['steal']:.0%} of a CPU meanwhile"
        if r["ring_threads"]:
            yield f"{title}, {name}: {r['ring_threads']} kernel threads of its workers' rings (iou-wrk) were alive"
    if result["verdict"]["control"] > 0.03:
        yield f"{title}: the two equal nginx differ by {result['verdict']['control']:.1%}: smaller differences mean nothing"


def figure():
    """matplotlib's pyplot, or None with a word."""
    try:
        import matplotlib

        matplotlib.use("svg")
        matplotlib.rcParams["svg.hashsalt"] = "ringgate"  # the same figures make the same file
        import matplotlib.pyplot as pyplot

        return pyplot
    except ImportError:
        print("no plot: matplotlib is not installed (pip install matplotlib; then --plot FILE.json)")
        return None


def save_figure(chart, file):
    chart.tight_layout()
    chart.savefig(file, metadata={"Date": None})
    print(f"plot: {file}")


COLORS = {"ringgate": "#c0392b", "nginx": "#2e7d32", "nginx again": "#8bc34a", "nginx buffer": "#1b5e20", "haproxy": "#1f5fa8", "haproxy splice": "#7fb0e0"}


def bars(axes, title, names, values, spread, label):
    """One group of horizontal bars; `spread` are (min, max) or None."""
    places = range(len(names))
    errors = None
    if spread:
        errors = [[max(0, v - low) for v, (low, _) in zip(values, spread)], [max(0, high - v) for v, (_, high) in zip(values, spread)]]
    axes.barh(places, values, color=[COLORS.get(name.partition(",")[0], "#888888") for name in names], xerr=errors, ecolor="#444444", capsize=2)
    axes.set_yticks(places, names, fontsize=8)
    axes.invert_yaxis()
    axes.set_title(title, fontsize=9)
    axes.set_xlabel(label, fontsize=8)
    axes.tick_params(axis="x", labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    for place, value in zip(places, values):
        axes.text(0, place, f" {value:.3g}", va="center", fontsize=7, color="white")


def plot_comparison(result, file):
    """All runs of `compare`, one panel each; false without matplotlib."""
    pyplot = figure()
    if not pyplot:
        return False
    panels = []
    for scenario, entry in result["scenarios"].items():
        for connections, run in entry["runs"].items():
            title = f"{scenario}, {connections} connections"
            if scenario.startswith("idle"):
                names = list(run)
                values = [(run[n]["after"]["Rss"] - run[n]["before"]["Rss"]) / int(connections) for n in names]
                panels.append((f"{scenario}, {int(connections):,} clients", names, values, None, "resident bytes per client"))
                continue
            rows, key = run["summary"]["rows"], "p99_us" if scenario == "latency" else "cost"
            scale = 1000 if scenario == "latency" else 1
            label = f"p99 ms at {run['rate']:,}/s" if scenario == "latency" else UNITS[entry["unit"]]
            values = [r[key] / scale for r in rows.values()]
            panels.append((title, list(rows), values, [(r[f"{key}_min"] / scale, r[f"{key}_max"] / scale) for r in rows.values()], label))
    columns = min(3, len(panels))
    lines = -(-len(panels) // columns)
    chart, axes = pyplot.subplots(lines, columns, figsize=(4.2 * columns, 1.9 * lines + 0.6), squeeze=False)
    for axis, panel in zip(axes.flat, panels):
        bars(axis, *panel)
    for axis in list(axes.flat)[len(panels):]:
        axis.set_visible(False)
    machine = result["machine"]
    chart.suptitle(f"{machine['cpu']}, Linux {machine['kernel']}, nginx {machine['nginx']}, HAProxy {machine['haproxy']}, ringgate "
                   f"{machine['ringgate']}; medians with min and max, less is better", fontsize=8)
    save_figure(chart, file)
    return True
