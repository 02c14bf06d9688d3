"""Tables of an evaluation, for the command line and the report: every statistic with its error."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mmvae.report.formats import STANDARDISED, Figure, hundredfold, nats, percent, spread


@dataclass(frozen=True)
class Table:
    """A table as text.

    Attributes:
        title: Its title.
        header: Names of the columns.
        rows: The cells, row by row.
        note: A sentence on how to read it.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


def tables(result: Mapping[str, Any]) -> list[Table]:
    """The tables of an evaluation's result that have rows."""
    likelihoods = (bounds, cells, information)
    others = (divergences, coherences, accuracies, prediction_errors, latent, gradient_shares)
    made = [make(result) for make in (*likelihoods, *others)]
    return [table for table in (*made, *matrices(result), *metrics(result)) if table.rows]


def bounds(result: Mapping[str, Any]) -> Table:
    """The evidence lower bound of log p(x_M) and its terms."""
    rows = [("ELBO", nats(statistic)) for statistic in result.get("bounds", {}).values()]
    terms = result.get("terms", {})
    likelihoods = [f"log_likelihood/{m}" for m in result["modalities"]]
    rows += [(term(name), nats(terms[name])) for name in (*likelihoods, "kl") if name in terms]
    note = "Higher is better, except for the KL. ELBO = sum of log-likelihoods − KL to the prior."
    if any("standardised" in statistic for statistic in terms.values()):
        note = f"{note} {STANDARDISED}"
    title = f"Evidence lower bound of {result.get('bounds of', 'the log-likelihood')}"
    return Table(title, ("statistic", "nats per item"), tuple(rows), note)


def cells(result: Mapping[str, Any]) -> Table:
    """Likelihood queries: joint, marginal and conditional, single and multiple."""
    found = result.get("cells", {})
    rows = tuple(
        (
            name,
            statistic["of"],
            nats(statistic),
            statistic["proposal"],
            f"{statistic['samples']:,}",
            f"{statistic['effective samples']:.1f}",
            "bound" if statistic["bound"] else f"estimate; given: {given(statistic)}",
        )
        for name, statistic in sorted(found.items(), key=lambda cell: cell_order(cell[0], result))
    )
    header = ("query", "quantity", "nats per item", "samples of", "k", "effective", "kind")
    note = (
        "Importance weighted; higher is better. A bound lies below the true value and rises with "
        "k. An estimate is a difference of two bounds; it is too high if the bound of the given "
        "modalities is loose. Effective: mean effective sample size; near 1, k is too small for "
        "its proposal."
    )
    if any("standardised" in statistic for statistic in found.values()):
        note = f"{note} {STANDARDISED}"
    return Table("Log-likelihoods", header, rows, note)


def given(statistic: Mapping[str, Any]) -> str:
    """The source of log p(x_G) in an estimate, and its effective sample size."""
    effective = statistic.get("effective samples of what is given")
    return str(statistic["given from"]) + (f", {effective:.1f} effective" if effective else "")


def cell_order(name: str, result: Mapping[str, Any]) -> tuple[bool, int, list[int], str]:
    """Sort key: joint and marginal queries before conditionals, larger target sets first."""
    query = name.partition("@")[0]
    targets, bar, _ = query.partition("|")
    order = list(result["modalities"])
    places = [order.index(m) for m in targets.split("+")]
    return bool(bar), -len(places), places, name


def information(result: Mapping[str, Any]) -> Table:
    """The variation of information of two modalities."""
    found = result.get("variation of information", {})
    rows = tuple((f"samples: {kind}", nats(statistic)) for kind, statistic in found.items())
    note = "−[log p(x|w) + log p(w|x)]: the lower, the better each modality predicts the other."
    return Table("Variation of information", ("statistic", "nats per item"), rows, note)


def divergences(result: Mapping[str, Any]) -> Table:
    """KL of the joint posterior to each subset posterior."""
    found = result.get("subset posteriors", {})
    rows = tuple((name, spread(found[name])) for name in in_order(found, result))
    note = "KL of the joint posterior to the posterior given these alone; 0 if they agree."
    return Table("Subset posteriors", ("given", "KL, nats per item"), rows, note)


def coherences(result: Mapping[str, Any]) -> Table:
    """Share of generated values that show the class given, or generated beside them."""
    columns = ("temperature 1", "mean", "classifier on real items")
    rows = tuple(
        (
            direction,
            *(percent(found[name]) if name in found else "–" for name in columns),
        )
        for direction, found in result.get("coherence", {}).items()
    )
    note = (
        f"Share of {result['coherence samples']:,} values, generated from classes in equal "
        f"numbers, that show their class according to a classifier trained on real training items "
        f"only. The last column is that classifier's accuracy on real {result['split']} items. "
        f"From the prior, value and class are decoded from the same z, and should agree."
    )
    return Table("Coherence", ("direction", *columns), rows, note)


MOST_ROWS = 16
"""A coherence matrix with more rows than this is shown as a figure, not as a table."""


def matrices(result: Mapping[str, Any]) -> Iterator[Table]:
    """The coherence matrix of each modality with classes."""
    for label, matrix in result.get("coherence matrix", {}).items():
        yield from matrix_tables(label, matrix, result)


def matrix_tables(
    label: str, matrix: Mapping[str, Any], result: Mapping[str, Any]
) -> Iterator[Table]:
    """Coherence from every given-set, and by the number of given modalities."""
    cells = matrix["cells"]
    columns = [m for m in result["modalities"] if any(m in row for row in cells.values())]
    shares = (
        f"share of generated values that show the item's own {label}, according to a classifier "
        f"trained on real items only; {label} itself is compared directly. z is a sample of "
        f"q(z|given). Items are of the {result['split']} split."
    )
    if len(cells) <= MOST_ROWS:
        rows = tuple(
            (given, *(percent(row[m]) if m in row else "–" for m in columns))
            for given, row in cells.items()
        )
        note = f"The {shares}"
        yield Table(f"Coherence matrix: {label}", ("given", *columns), rows, note)
    if len(matrix["by size"]) > 1:
        sizes = tuple((size, percent(statistic)) for size, statistic in matrix["by size"].items())
        note = f"Mean over sets of that size and all targets except {label} of the {shares}"
        yield Table(f"Coherence by given modalities: {label}", ("given", "right"), sizes, note)


def accuracies(result: Mapping[str, Any]) -> Table:
    """Accuracy of each class predicted from other modalities."""
    rows = tuple(
        (name, percent(statistic)) for name, statistic in result.get("accuracy", {}).items()
    )
    return Table("Accuracy", ("direction", "right"), rows, f"On the {result['split']} split.")


def prediction_errors(result: Mapping[str, Any]) -> Table:
    """Each codec's statistics on its modality predicted from others, or reconstructed."""
    givens = result.get("given", {})
    rows = tuple(
        (given, target, name, spread(statistic))
        for given in in_order(givens, result)
        for target in in_order(givens[given], result)
        for name, statistic in givens[given][target].items()
    )
    note = "Each modality at the best point of the posterior that sees the given ones."
    return Table("Cross-generation", ("given", "target", "statistic", "value"), rows, note)


def latent(result: Mapping[str, Any]) -> Table:
    """Number of dimensions of z in use, and the distribution of the KL to the prior over them."""
    found = result.get("latent")
    if found is None:
        return Table("Latent", (), ())
    rows = [("active units", f"{found['active units']} of {found['dimensions']}")]
    if kl := sorted(found.get("kl per dimension", ())):
        middle = statistics.median(kl)
        for name, nats in (("largest", kl[-1]), ("median", middle), ("smallest", kl[0])):
            rows.append((f"KL of a dimension, {name}", f"{nats:.3g}"))
    note = (
        "Active: the posterior mean varies by more than 0.01 over the items. KL of the joint "
        "posterior to the prior, nats per item; over all dimensions it is the KL of the bound."
    )
    return Table("Latent", ("statistic", "value"), tuple(rows), note)


def gradient_shares(result: Mapping[str, Any]) -> Table:
    """Share of each modality in the gradient at z; a single modality has all of it."""
    found = result.get("gradient shares", {})
    names = in_order(found, result) if len(found) > 1 else ()
    rows = tuple((name, spread(hundredfold(found[name]))) for name in names)
    note = (
        "Norm of the gradient of log p(x_m|z) at z, mean over items, as a share of the sum over "
        "modalities; weights of modalities in the training are left out."
    )
    return Table("Share of the gradient", ("modality", "share, %"), rows, note)


def metrics(result: Mapping[str, Any]) -> Iterator[Table]:
    """One table for each metric; statistics in columns if they have details."""
    for name, metric in result.get("metrics", {}).items():
        found, title = metric["figures"], f"{name} ({metric['kind']})"
        note = " ".join([metric["about"], *metric["remarks"]])
        heads = list(dict.fromkeys(statistic.partition("/")[0] for statistic in found))
        details = list(dict.fromkeys(statistic.partition("/")[2] for statistic in found))
        if details == [""]:
            plain = tuple((head, spread(found[head])) for head in heads)
            yield Table(title, ("statistic", "value"), plain, note)
            continue
        rows = tuple(
            (detail or "mean", *(_detail(found, head, detail) for head in heads))
            for detail in sorted(details, key=bool)  # statistics without details come first
        )
        yield Table(title, ("of", *heads), rows, note)


def _detail(found: Mapping[str, Figure], head: str, detail: str) -> str:
    statistic = found.get(f"{head}/{detail}" if detail else head)
    return "–" if statistic is None else spread(statistic)


def in_order(names: Iterable[str], result: Mapping[str, Any]) -> list[str]:
    """Names of subsets by size, then by the order of the configuration.

    A result read from its file has them in alphabetical order.
    """
    order = {m: i for i, m in enumerate(result["modalities"])}

    def key(name: str) -> tuple[int, list[int]]:
        subset = name.split("+")
        return len(subset), [order[m] for m in subset]

    return sorted(names, key=key)


def heading(result: Mapping[str, Any]) -> str:
    """One line that describes what was evaluated."""
    return (
        f"{result['name']}, step {weights(result)}: {result['items']} items of the "
        f"{result['split']} split, seed {result['seed']}; ± is the standard error over items"
    )


def densities(result: Mapping[str, Any]) -> Iterator[str]:
    """Sentences on the measure of each density, for codecs that state it."""
    yield from map(density, result.get("densities", {}).items())
    if any("standardised" in statistic for statistic in result.get("terms", {}).values()):
        yield STANDARDISED


def density(measure: tuple[str, str]) -> str:
    """A sentence on the measure of one modality's density."""
    return "Log-likelihoods of {}: density of {}.".format(*measure)


def weights(result: Mapping[str, Any]) -> str:
    """The step of the weights, and the number of steps among which they are the best."""
    step, last = result["step"], result["steps"]
    return f"{step}" if step == last else f"{step} (best by validation of {last} steps)"


def term(name: str) -> str:
    """Format ``log_likelihood/image`` for people."""
    if name == "kl":
        return "KL to the prior"
    return name.replace("log_likelihood/", "log-likelihood of ")
