"""Tables of claims: statements of order, computed from the stored nats."""

from __future__ import annotations

from collections.abc import Sequence

from mmvae.experiments.study.claims import (
    FEW,
    Finding,
    Order,
    findings,
    number,
    orders,
)
from mmvae.experiments.study.record import Record
from mmvae.experiments.study.study import Study
from mmvae.report.tables import Table

UNSETTLED = (
    f"Unsettled: a value has fewer than {number(FEW)} effective samples and would rise with more, "
    f"so the result is about these samples rather than about the models."
)


def claim_tables(study: Study, records: Sequence[Record]) -> list[Table]:
    """The results on the study's claims that can be tested."""
    by_row = {record.row: record for record in records}
    rows = [
        claim_row(claim.text, finding)
        for claim in study.config.claims
        for finding in findings(claim, by_row)
    ]
    if not rows:
        return []
    header = ("claim", "rows", "nats", "standard error", "effective samples", "expected", "result")
    note = (
        f"Differences between two rows: the mean over items of the difference on the same item, "
        f"second row minus first. Not clear: within two standard errors of the expected value. "
        f"{UNSETTLED}"
    )
    title = f"Claims of the paper ({records[0].schedule} schedule)"
    return [Table(title, header, tuple(rows), note)]


def order_tables(study: Study, records: Sequence[Record]) -> list[Table]:
    """Agreement of the order of our values with the published order; empty without any."""
    tables = [table.cells for table in study.config.tables if table.coherence is None]
    found = [order for cells in tables for order in orders(cells, records)]
    if not found:
        return []
    header = ("log p of", "published order", "published", "ours", "standard error")
    verdicts = [order.found.verdict for order in found]
    count = ", ".join(f"{word} {verdicts.count(word)}" for word in ("yes", "no", "not clear"))
    note = (
        f"Of {len(found)} pairs: {count}; {sum(not o.found.settled for o in found)} unsettled. "
        f"A pair is two rows that are neighbours in the published order of a likelihood query, or "
        f"two values of a row by different samples. Equal published values are left out. Ours: "
        f"the mean over items of the difference on the same item. Not clear: within two standard "
        f"errors of 0. {UNSETTLED}"
    )
    title = f"The order of the published values ({records[0].schedule} schedule)"
    rows = tuple(map(order_row, found))
    return [Table(title, (*header, "effective samples", "the same order"), rows, note)]


def order_row(order: Order) -> tuple[str, ...]:
    """A row of a table for two published values."""
    found = order.found
    return (
        order.cell,
        " < ".join(found.rows),
        nats(order.published, "+"),
        nats(found.value, "+"),
        nats(found.error),
        samples(found),
        so(found),
    )


def samples(finding: Finding) -> str:
    """The effective sample sizes of a finding's estimates."""
    return ", ".join("–" if e is None else f"{e:,.1f}" for e in finding.effective)


def so(finding: Finding) -> str:
    """The verdict of a finding, and whether more samples could change it."""
    return finding.verdict if finding.settled else f"{finding.verdict}, unsettled"


def claim_row(text: str, finding: Finding) -> tuple[str, ...]:
    """A row of a table for one finding."""
    sign = "+" if len(finding.rows) > 1 else "-"
    return (
        text,
        " → ".join(finding.rows),
        nats(finding.value, sign),
        nats(finding.error),
        samples(finding),
        finding.expected,
        so(finding),
    )


def nats(value: float | None, sign: str = "-") -> str:
    """Format a value with two digits and a true minus sign; – for none."""
    return "–" if value is None else f"{value:{sign},.2f}".replace("-", "−")
