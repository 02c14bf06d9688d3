"""Figures of diagnostics: the distribution of the KL to the prior over the dimensions of z."""

from __future__ import annotations

from collections.abc import Sequence

from mmvae.evaluation.diagnostics import ACTIVE
from mmvae.report.canvas import OKABE_ITO, Picture, new_figure, png
from mmvae.report.report_subject import ReportSubject


def dimension_kl(subject: ReportSubject) -> list[Picture]:
    """KL of each latent dimension, sorted; none if the KL is not a sum over dimensions."""
    latent = subject.evaluation.get("latent", {})
    if "kl per dimension" not in latent:
        return []
    kl, variance = latent["kl per dimension"], latent["variance per dimension"]
    active, dimensions = latent["active units"], latent["dimensions"]
    caption = (
        f"KL of the joint posterior to the prior in each of the {dimensions} dimensions of z, in "
        f"nats, means over {subject.evaluation['items']:,} items, sorted; together "
        f"{sum(kl):.4g} nats per item. {active} of the dimensions are active: their posterior "
        f"mean varies by more than {ACTIVE} over the items. " + subject.origin
    )
    return [Picture("latent-kl", "KL per latent dimension", caption, draw(kl, variance))]


def draw(kl: Sequence[float], variance: Sequence[float]) -> bytes:
    """Draw bars from the largest KL to the smallest; colours mark the active dimensions.

    Args:
        kl: Nats of each dimension, (d,).
        variance: Of its posterior mean over items, (d,).
    """
    from matplotlib.ticker import MaxNLocator

    order = sorted(range(len(kl)), key=lambda d: kl[d], reverse=True)
    figure = new_figure(7.0, 3.2)
    panel = figure.subplots()
    groups = (("active", True, OKABE_ITO[0], ""), ("inactive", False, OKABE_ITO[1], "///"))
    for name, wanted, colour, hatch in groups:
        ranks = [r for r, d in enumerate(order, 1) if (variance[d] > ACTIVE) == wanted]
        if ranks:
            heights = [kl[order[r - 1]] for r in ranks]
            label = f"{name} ({len(ranks)})"
            panel.bar(ranks, heights, width=0.8, color=colour, hatch=hatch, label=label)
    panel.axhline(0, color="black", linewidth=0.8)
    panel.set_xlim(0.4, len(kl) + 0.6)
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    panel.set_xlabel("latent dimension, by rank", fontsize=9)
    panel.set_ylabel("KL to the prior, nats", fontsize=9)
    panel.tick_params(labelsize=8)
    panel.grid(axis="y", alpha=0.25)
    panel.set_axisbelow(True)
    panel.legend(title="dimensions", fontsize=8, title_fontsize=8)
    return png(figure)
