"""A classifier of pictures trained here; metrics use its features and predictions."""

from __future__ import annotations

import math
from collections.abc import Hashable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmvae import Codec, Specimen
from mmvae_fidelity.pictures import pixels

FEATURES = 64
BATCH, LEAST_STEPS, LEAST_EPOCHS = 64, 1000, 5
MOST_ITEMS = 20_000
RATE, WEIGHT_DECAY = 2e-3, 1e-2
CHUNK = 500


class Classifier(nn.Module):
    """p(label | picture): strided convolutions to 4×4 or less, their mean, a linear head.

    Each level halves the side of the picture and doubles the channels, up to 64 features, so a
    picture of any size costs about the same per level.

    Args:
        shape: (channels, height, width) of a picture.
        prior: Log-odds of each attribute, or log-shares of each class, in the training items. The
            head learns the difference from them, so that predictions treat rare and common labels
            alike (Menon et al. 2021, arXiv:2007.07314).
        exclusive: True if the labels are classes, of which an item has one.
    """

    prior: Tensor
    mean: Tensor
    scale: Tensor

    def __init__(self, shape: tuple[int, ...], prior: Tensor, exclusive: bool) -> None:
        super().__init__()
        levels = max(1, math.ceil(math.log2(max(shape[1:]) / 4)))
        widths = [max(8, FEATURES >> (levels - 1 - i)) for i in range(levels)]
        layers: list[nn.Module] = []
        for before, after in zip([shape[0], *widths], widths, strict=False):
            layers += [nn.Conv2d(before, after, 4, 2, 1), nn.GroupNorm(8, after), nn.SiLU()]
        layers += [nn.Conv2d(FEATURES, FEATURES, 3, 1, 1), nn.SiLU()]
        self.trunk = nn.Sequential(*layers)
        self.head = nn.Linear(FEATURES, len(prior))
        self.exclusive = exclusive
        self.register_buffer("prior", prior)

    def features(self, pictures: Tensor) -> Tensor:
        """Pictures (b, c, height, width) → features (b, 64)."""
        seen: Tensor = self.trunk(2 * pictures - 1)
        return seen.mean((2, 3))

    def forward(self, pictures: Tensor) -> Tensor:
        """The evidence of each picture for each label beyond the prior, (b, labels)."""
        evidence: Tensor = self.head(self.features(pictures))
        return evidence

    def loss(self, pictures: Tensor, labels: Tensor) -> Tensor:
        """Mean cross-entropy with labels: 0 or 1 (b, attributes), or codes of classes (b,)."""
        logits = self(pictures) + self.prior
        if self.exclusive:
            return F.cross_entropy(logits, labels)
        return F.binary_cross_entropy_with_logits(logits, labels.float())

    @torch.no_grad()
    def verdict(self, pictures: Tensor) -> Tensor:
        """Predict each attribute of pictures (n, …), bool (n, attributes), on the CPU."""
        return torch.cat(
            [self(part.to(self.prior)).cpu() > 0 for part in torch.split(pictures, CHUNK)]
        )

    @torch.no_grad()
    def all_features(self, pictures: Tensor) -> Tensor:
        """Features of pictures (n, …), float64 (n, 64), on the CPU."""
        parts = torch.split(pictures, CHUNK)
        return torch.cat([self.features(part.to(self.prior)).cpu() for part in parts]).double()


def labelled(specimen: Specimen, modality: str) -> str | None:
    """The first other modality with classes or attributes, whose labels train the classifier."""
    codecs = specimen.model.codecs.items()
    return next(
        (m for m, c in codecs if m != modality and (c.classes or c.attributes) is not None), None
    )


def classifier_of(specimen: Specimen, modality: str, labels: str) -> Classifier:
    """The classifier of a modality's pictures, trained once for all metrics that use it."""
    key: Hashable = ("judge", modality, labels)
    made: Classifier = specimen.shared(key, lambda: train_classifier(specimen, modality, labels))
    return made


def label_values(codec: Codec, x: Tensor) -> Tensor:
    """Model values of labels → 0 or 1 (n, attributes), or codes of classes (n,)."""
    return codec.class_index(x) if codec.classes is not None else (x >= 0).long()


def train_classifier(specimen: Specimen, modality: str, labels: str) -> Classifier:
    """Train a classifier on real training items: AdamW, one cycle of the learning rate.

    Five epochs, or as many more as 1,000 steps take. Pictures are not mirrored, since the label
    may depend on the side. The result is a function of the items and the seed.
    """
    codecs = specimen.model.codecs
    codec, target = codecs[modality], codecs[labels]
    parts = [
        ((pixels(codec, x[modality]) * 255).round().byte(), label_values(target, x[labels]).cpu())
        for x in specimen.learned_from(MOST_ITEMS)
    ]
    pictures, truth = (torch.cat(column) for column in zip(*parts, strict=True))
    device = specimen.items.device
    torch.manual_seed(specimen.seed)  # metrics run within a random state of their own
    exclusive = target.classes is not None
    classifier = (
        Classifier(tuple(pictures.shape[1:]), _prior(truth, target), exclusive).to(device).train()
    )
    epochs = max(LEAST_EPOCHS, math.ceil(LEAST_STEPS * BATCH / len(truth)))
    steps = epochs * math.ceil(len(truth) / BATCH)
    optimizer = torch.optim.AdamW(classifier.parameters(), RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
    for epoch in range(epochs):
        specimen.step(f"classifier {modality} → {labels}", epoch, epochs)
        for items in torch.split(torch.randperm(len(truth)), BATCH):
            seen = pictures[items].float() / 255
            loss = classifier.loss(seen.to(device), truth[items].to(device))
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    specimen.step(f"classifier {modality} → {labels}", epochs, epochs)
    return classifier.eval()


def _prior(truth: Tensor, target: Codec) -> Tensor:
    """Log-odds of attributes, or log-shares of classes, with every count increased by one."""
    if target.classes is not None:
        counts = torch.bincount(truth, minlength=len(target.classes)).float() + 1
        return (counts / counts.sum()).log()
    have = truth.float().sum(0) + 1
    return (have / (len(truth) + 2 - have)).log()
