"""Codecs of strangers, each with one fault: the check that tells it, and what the check says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from pydantic import Field
from testing.gallery import DIM, HalfNormal, Sound
from torch import nn
from torch.distributions import Bernoulli, Independent, Normal, OneHotCategorical, Poisson
from torch.nn import functional as F

from mmvae import Codec, CodecConfig, Column, Examples, UnsupportedValue, mlp

STATE = "test_state_survives_saving"
DECLARED = "test_declarations"
PREPARED = "test_prepared_values_have_the_event_shape"
ROWS = "test_prepare_is_a_function_of_each_row"
NETWORKS = "test_networks_and_likelihood_have_the_event_shape"
WEIGHTS = "test_weights_belong_to_the_networks"
DOUBTS = "test_doubts_name_rows_and_say_what"
UNITS = "test_log_scale_says_the_units"
SAMPLES = "test_samples_follow_the_density"
FAR = "test_numbers_far_out_stay_apart_or_are_refused"
CHANCE = "test_randomness_comes_from_the_generator"
RAW = "test_raw_values_are_not_edited"
EDITED = "test_model_values_are_not_edited"
APART = "test_items_do_not_mix_in_the_likelihood"
FOLLOWS = "test_points_follow_the_parameters"
NO_FLOOR = "test_log_prob_has_no_floor"
PARTS = "test_parse_makes_up_no_cell"
LOSSY = "test_restored_values_are_the_raw_ones"
FLOAT32 = "test_numbers_are_float32_under_autocast_too"
SHOWN = "test_show_agrees_with_restore"
NAMES = "test_names_of_cells_keep_their_places"
BEST = "test_compare_is_best_for_true_values"
GRADIENT = "test_gradients_are_those_of_log_prob"
ONE = "test_one_item_gives_the_same_as_in_a_batch"
IN_A_ROW = "test_draws_in_a_row_differ"
GAP = "test_nan_is_not_read_as_a_number"
FRACTIONS = "test_fractions_are_not_cut_off"
CAPITALS = "test_capitals_are_not_changed"
ENDS = "test_ends_of_texts_are_not_cut_off"
ORDER = "test_prepare_follows_the_names_of_cells"
ADD_UP = "test_observed_and_other_cells_add_up"


class Letter(Codec):
    """One of three letters, as a one-hot vector: a sound codec with classes."""

    kind, event_shape, feature_dim = "letter", (3,), 4
    classes = ("a", "b", "c")

    def prepare(self, column):
        codes = [self.classes.index(value) for value in column.values]
        return F.one_hot(torch.tensor(codes), 3).to(torch.uint8), None

    def encoder(self):
        return mlp(3, [8, 4], "tanh")

    def decoder(self, input_dim):
        return nn.Linear(input_dim, 3)

    def likelihood(self, parameters):
        return OneHotCategorical(logits=parameters, validate_args=False)

    def point(self, likelihood):
        return F.one_hot(likelihood.logits.argmax(-1), 3).float()

    def restore(self, x):
        return Column([self.classes[k] for k in x.argmax(-1).tolist()])

    def parse(self, text):
        if text not in self.classes:
            raise ValueError(f"{text!r} is no letter; expected one of a, b, c")
        return Column([text])

    def class_index(self, x):
        return x.argmax(-1)

    @classmethod
    def examples(cls):
        def column(n, seed):
            return Column(np.random.default_rng(seed).choice(["a", "b", "c"], n).tolist())

        return Examples(column, support=torch.eye(3), texts=("a",))


class Wave(Codec):
    """Sixteen reals with neither grid nor support: what it draws is judged by single cells."""

    kind, event_shape, feature_dim = "wave", (16,), 8

    def prepare(self, column):
        return torch.as_tensor(np.asarray(column.values), dtype=torch.float32), None

    def encoder(self):
        return mlp(16, [8], "tanh")

    def decoder(self, input_dim):
        return nn.Linear(input_dim, 16)

    def likelihood(self, parameters):
        return Independent(Normal(parameters, 1.0, validate_args=False), 1)

    def point(self, likelihood):
        return likelihood.mean

    def restore(self, x):
        return Column(x.detach().cpu().numpy())

    def parse(self, text):
        raise ValueError(f"{text!r} is no wave; waves cannot be typed")

    @classmethod
    def examples(cls):
        return Examples(lambda n, s: Column(np.random.default_rng(s).normal(size=(n, 16))))


class HoldsAWeight(Sound):
    """A spread that it learns, it thinks."""

    def __init__(self, config, state=None):
        super().__init__(config, state)
        self.spread = nn.Parameter(torch.zeros(DIM))

    def likelihood(self, parameters):
        return Independent(Normal(parameters, self.spread.exp(), validate_args=False), 1)


class ScalesByAWeight(Sound):
    scale = nn.Parameter(torch.ones(DIM))

    def to_input(self, x):
        return super().to_input(x) * self.scale


class Unlisted(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = [nn.Linear(DIM, 4)]

    def forward(self, x):
        return self.layers[0](x)


class HidesLayers(Sound):
    """Layers in a Python list, which torch does not register."""

    def encoder(self):
        return Unlisted()


class TiesItsNetworks(Sound):
    """Encoder and decoder are one layer."""

    feature_dim = DIM

    def __init__(self, config, state=None):
        super().__init__(config, state)
        self.layer = nn.Linear(DIM, DIM)

    def encoder(self):
        return self.layer

    def decoder(self, input_dim):
        return nn.Sequential(nn.Linear(input_dim, DIM), self.layer)


class LearnsArrays(Sound):
    def fit(self, column):
        return {**super().fit(column), "low": np.zeros(DIM)}


class LearnsNaN(Sound):
    def fit(self, column):
        return {**super().fit(column), "least": float("nan")}


class LearnsByNumber(Sound):
    def fit(self, column):
        return {**super().fit(column), "names": {1: "one"}}


class LearnsAWeight(Sound):
    def fit(self, column):
        return {**super().fit(column), "scale": nn.Parameter(torch.ones(DIM))}


class LearnsAList(Sound):
    def fit(self, column):
        return [super().fit(column)]


class FailsToLearn(Sound):
    def fit(self, column):
        raise KeyError("mean")


class Scalar(Sound):
    event_shape = ()


class SizeOfFloats(Sound):
    event_shape = (2.0,)


class WideByText(Sound):
    feature_dim = "4"


class OddKind(Sound):
    kind = "Mein Codec!"


class ListOfClasses(Letter):
    classes = ["a", "b", "c"]


class Untyped(CodecConfig):
    sizes: int = Field("many", description="Sizes.")


class WrongDefault(Sound):
    Config = Untyped


class IntegerInput(Letter):
    def to_input(self, x):
        return x.to(torch.int64)


class NaNForMissing(Sound):
    def missing(self, b):
        return torch.full((b, DIM), torch.nan)


class DoubleForMissing(Sound):
    def missing(self, b):
        return torch.zeros(b, DIM, dtype=torch.float64)


class OneRowForMissing(Sound):
    def missing(self, b):
        return torch.zeros(1, DIM)


class MaskTheWrongWay(Sound):
    """True where a cell is missing."""

    def prepare(self, column):
        x = torch.tensor(column.values, dtype=torch.float32) - self.state["mean"]
        return x.nan_to_num(), x.isnan()

    def fit(self, column):
        return {"mean": torch.zeros(DIM)}

    @classmethod
    def examples(cls):
        def column(n, seed):
            values = np.random.default_rng(seed).normal(size=(n, DIM))
            values[0, 1] = np.nan
            return Column(values)

        return Examples(column)


class MaskOfRows(Sound):
    def prepare(self, column):
        x, _ = super().prepare(column)
        return x, torch.ones(len(x), dtype=torch.bool)


class ViewOfOneItem(Sound):
    def resample(self, x, generator):
        return x[:1]


class ViewInHalf(Sound):
    def fixed(self, x, generator):
        return x.half()


class PreparesWithNoise(Sound):
    def prepare(self, column):
        x, observed = super().prepare(column)
        return x + 0.1 * torch.randn(x.shape), observed


class SortsItsColumn(Sound):
    def prepare(self, column):
        column.values.sort(0)
        return super().prepare(column)


class ConditionForgetsTheMean(Sound):
    def condition(self, raw):
        return torch.tensor(raw.values, dtype=torch.float32)


class ColumnOfNats(Sound):
    def log_prob(self, likelihood, x, observed):
        return super().log_prob(likelihood, x, observed)[:, None]


class WholeNumberedPoint(Letter):
    def point(self, likelihood):
        return super().point(likelihood).long()


class NaNPoint(Sound):
    def point(self, likelihood):
        return likelihood.mean / 0 * 0


class HalfPrecision(Sound):
    def likelihood(self, parameters):
        return super().likelihood(parameters.half())


class InfiniteInside(Sound):
    """It takes no value beyond 5, which are valid."""

    def log_prob(self, likelihood, x, observed):
        beyond = (x.abs() > 5).any(-1)
        return super().log_prob(likelihood, x, observed).masked_fill(beyond, -torch.inf)


class DrawsTheMean(Wave):
    def sample(self, likelihood, generator):
        return likelihood.mean


class DrawsTooWide(Sound):
    def sample(self, likelihood, generator):
        return likelihood.mean + 2 * torch.randn(likelihood.mean.shape, generator=generator)


class DrawsCellsTooWide(Wave):
    def sample(self, likelihood, generator):
        return likelihood.mean + 1.5 * torch.randn(likelihood.mean.shape, generator=generator)


class DrawsUniformly(Letter):
    def sample(self, likelihood, generator):
        codes = torch.randint(3, likelihood.batch_shape, generator=generator)
        return F.one_hot(codes, 3).float()


class DrawsBetweenLetters(Letter):
    def sample(self, likelihood, generator):
        return likelihood.probs


class PointBeyond(Letter):
    def point(self, likelihood):
        return 2 * super().point(likelihood)


class Deaf(nn.Module):
    def forward(self, x):
        return torch.cat([x[:, :1], torch.zeros_like(x[:, 1:])], 1)


class SeesOneCell(Sound):
    def encoder(self):
        return nn.Sequential(Deaf(), super().encoder())


class RestoresAnArray(Sound):
    def restore(self, x):
        return super().restore(x).values


class RestoresTensors(Sound):
    def restore(self, x):
        return Column(x + self.state["mean"])


class RestoresDistinct(Letter):
    """It drops values that repeat."""

    def restore(self, x):
        return Column(sorted(set(super().restore(x).values)))


class ComparesOnce(Sound):
    def compare(self, prediction, x):
        return {"distance": (prediction - x).norm()}


class ComparesWithNumbers(Sound):
    def compare(self, prediction, x):
        return {"distance": float((prediction - x).norm())}


class ComparesCodes(Letter):
    def compare(self, prediction, x):
        return {"right": prediction.argmax(-1) == x.argmax(-1)}


class ComparesWithTheRest(Sound):
    def compare(self, prediction, x):
        return {"rank": (prediction - x).norm(dim=1) / (prediction - x).norm(dim=1).max()}


class ParsesAList(Sound):
    def parse(self, text):
        return [float(part) for part in text.split(",")]


class ParsesTwoRows(Letter):
    def parse(self, text):
        return Column([super().parse(text).values[0]] * 2)


class ParsesByKey(Letter):
    def parse(self, text):
        return Column([{"a": "a", "b": "b", "c": "c"}[text]])


class OtherNumbers(Letter):
    def class_index(self, x):
        return 2 - x.argmax(-1)


class CountsItsCalls(Sound):
    def restore(self, x):
        self.state["calls"] = self.state.get("calls", 0) + 1
        return super().restore(x)


class ForgetsWhatItLearned(Sound):
    """What it learned is in an attribute, which no run keeps."""

    def fit(self, column):
        type(self).centre = torch.tensor(column.read().values).mean(0).float()
        return {"mean": torch.zeros(DIM)}

    def prepare(self, column):
        x, observed = super().prepare(column)
        return x - self.centre, observed

    def restore(self, x):
        return super().restore(x + self.centre)


class ShiftsByChance(Sound):
    """A shift that is drawn when it is made, and no part of what it learned."""

    def __init__(self, config, state=None):
        super().__init__(config, state)
        self.shift = torch.randn(DIM)

    def prepare(self, column):
        x, observed = super().prepare(column)
        return x + self.shift, observed

    def restore(self, x):
        return super().restore(x - self.shift)


class ScaledBy(Sound):
    """It tells of a scale."""

    scale = torch.zeros(DIM)

    @property
    def log_scale(self):
        return self.scale


class OneScaleForAll(ScaledBy):
    scale = torch.tensor(0.0)


class ScaleAsAnArray(ScaledBy):
    scale = np.zeros(DIM)


class ScaleOfNothing(ScaledBy):
    """A column that does not vary: its deviation is 0."""

    scale = torch.zeros(DIM).log()


class ScaleInWholeNumbers(ScaledBy):
    scale = torch.zeros(DIM).long()


class ScaleIsAWeight(ScaledBy):
    scale = torch.zeros(DIM, requires_grad=True)


class ScaleElsewhere(ScaledBy):
    scale = torch.zeros(DIM, device="meta")


class LearnsHalfACharacter(Sound):
    """A symbol of half a surrogate pair, which no file holds."""

    def fit(self, column):
        return {**super().fit(column), "symbols": ["a", "\ud800"]}


class ClassCalledNothing(Letter):
    classes = ("", "b", "c")

    def restore(self, x):
        return Column([Letter.classes[k] for k in x.argmax(-1).tolist()])

    def prepare(self, column):
        codes = [Letter.classes.index(value) for value in column.values]
        return F.one_hot(torch.tensor(codes), 3).to(torch.uint8), None


class Standardised(Sound):
    """A sound codec whose model input has deviation 1: it says so, and scores users' values."""

    def fit(self, column):
        values = torch.tensor(column.read().values)
        return {"mean": values.mean(0).float(), "deviation": values.std(0)}

    def prepare(self, column):
        x, observed = super().prepare(column)
        return (x / self.state["deviation"]).float(), observed

    @property
    def log_scale(self):
        return self.state["deviation"].log()

    def log_prob(self, likelihood, x, observed):
        seen = torch.ones_like(x) if observed is None else observed.float()
        nats = super().log_prob(likelihood, x, observed)
        return nats - (seen * self.state["deviation"].log().to(seen)).sum(-1)

    def restore(self, x):
        values = x.detach().cpu() * self.state["deviation"] + self.state["mean"]
        return Column(values.double().numpy())


class SaysNoScale(Standardised):
    log_scale = None


class ScaleTheWrongWay(Standardised):
    @property
    def log_scale(self):
        return -super().log_scale


class ForgetsUnits(Standardised):
    log_scale = None

    def log_prob(self, likelihood, x, observed):
        return Sound.log_prob(self, likelihood, x, observed)


class SubtractsNothing(Standardised):
    def log_prob(self, likelihood, x, observed):
        return Sound.log_prob(self, likelihood, x, observed)


class StandardisedWave(Wave):
    """A sound codec of many cells, in other units."""

    def prepare(self, column):
        x, observed = super().prepare(column)
        return x / 5, observed

    @property
    def log_scale(self):
        return torch.full((16,), 5.0).log()

    def log_prob(self, likelihood, x, observed):
        seen = torch.ones_like(x) if observed is None else observed.float()
        return super().log_prob(likelihood, x, observed) - (seen * self.log_scale.to(seen)).sum(-1)

    def restore(self, x):
        return super().restore(5 * x)


class WaveSubtractsNothing(StandardisedWave):
    def log_prob(self, likelihood, x, observed):
        return Wave.log_prob(self, likelihood, x, observed)


class OneNoiseForAll(Sound):
    def sample(self, likelihood, generator):
        mean = likelihood.mean
        return mean + torch.randn((len(mean), 1), generator=generator)


class OneNoiseForAWave(Wave):
    def sample(self, likelihood, generator):
        mean = likelihood.mean
        return mean + torch.randn((len(mean), 1), generator=generator)


class CutsOff(Sound):
    def prepare(self, column):
        x, observed = super().prepare(column)
        return x.clamp(-12, 12), observed


class CutsOffAndSaysSo(CutsOff):
    def doubts(self, column):
        far = np.abs(column.values).max(1) > 10
        return [(row, "cut off at 12") for row in np.flatnonzero(far).tolist()]


class PointByChance(Sound):
    def point(self, likelihood):
        return likelihood.rsample()


class LearnsByChance(Sound):
    def fit(self, column):
        torch.randn(1)
        return super().fit(column)


class ParsesOtherUnits(Sound):
    def parse(self, text):
        return Column((super().parse(text).values - 32) / 1.8)


class ParsesTheRest(Standardised):
    """Numbers that are not typed are those of an item at 0."""

    def parse(self, text):
        numbers = [float(number) for number in text.split(",")]
        return Column(np.array([numbers + [0.0] * (DIM - len(numbers))]))


class ParsesNames(Sound):
    """Cells that are not named have a value that nobody gave."""

    def restore(self, x):
        return Column(super().restore(x).values, names=("height", "weight"))

    def parse(self, text):
        values = np.full((1, DIM), 70.0)
        for part in text.split(","):
            name, _, number = part.partition("=")
            if name not in ("height", "weight"):
                raise ValueError(f"{text!r}: expected height=…,weight=…")
            values[0, ("height", "weight").index(name)] = float(number)
        return Column(values)


class LeavesRefusalsToCondition(Standardised):
    """It parses any list of numbers, and condition refuses a short one."""

    def condition(self, raw):
        if np.shape(raw.values)[1] != DIM:
            raise ValueError(f"{np.shape(raw.values)[1]} numbers, expected {DIM}")
        return super().condition(raw)


class ParsesOneForAll(Standardised):
    """One number is the value of each cell."""

    def parse(self, text):
        numbers = [float(number) for number in text.split(",")]
        if len(numbers) not in (1, DIM):
            raise ValueError(f"{text!r}: expected one number, or {DIM}")
        return Column(np.array([numbers * (DIM // len(numbers))]))


class DoubtsNothing(Sound):
    def doubts(self, column):
        return None


class DoubtsByText(Sound):
    def doubts(self, column):
        return ["strange"]


class DoubtsARowTooFar(Sound):
    """It counts from 1."""

    def doubts(self, column):
        yield len(column), "strange"


class DoubtsWithoutWords(Sound):
    def doubts(self, column):
        yield 0, ""


class AddsANat(Sound):
    def log_prob(self, likelihood, x, observed):
        return super().log_prob(likelihood, x, observed) + 1


class HasAFloor(Sound):
    """A floor far below the density of all values of the grid."""

    def log_prob(self, likelihood, x, observed):
        return super().log_prob(likelihood, x, observed).clamp(min=-1e9)


class WaveWithAFloor(Wave):
    """Without a grid."""

    def log_prob(self, likelihood, x, observed):
        return super().log_prob(likelihood, x, observed).clamp(min=-1e3)


class AddsACellsNats(Sound):
    def likelihood(self, parameters):
        return Independent(HalfNormal(parameters, 1.0, validate_args=False), 1)


class LikelihoodOfTheBatch(Sound):
    def likelihood(self, parameters):
        return super().likelihood(parameters - 0.5 * parameters.mean(0))


class PointOfTheBatch(Sound):
    def point(self, likelihood):
        return likelihood.mean - 0.5 * likelihood.mean.mean(0)


class SampleOfTheBatch(Sound):
    def sample(self, likelihood, generator):
        mean = likelihood.mean
        return torch.normal(mean, 1.0, generator=generator) + mean - mean.mean(0)


class RoundsToHalves(Sound):
    def prepare(self, column):
        x, observed = super().prepare(column)
        return (x * 2).round() / 2, observed


class RoundsAndSaysSo(RoundsToHalves):
    """Sound: whoever checks the data is told. What it gives back is not rounded any more."""

    def doubts(self, column):
        lost = (column.values - self.state["mean"].numpy()) * 2
        rows = np.flatnonzero((np.abs(lost - lost.round()) > 1e-4).any(1))
        return [(row, "rounded to halves") for row in rows.tolist()]


class RoundsAndDoubtsOthers(RoundsToHalves):
    """It tells of every row, but not that it rounds."""

    def doubts(self, column):
        return [(row, "is it in metres?") for row in range(len(column))]


class MergesLetters(Letter):
    """Two letters are one class."""

    def prepare(self, column):
        return super().prepare(Column(["a" if v == "b" else v for v in column.values]))


class WrapsInPlace(Sound):
    """Its edit changes only numbers that lie far out."""

    def prepare(self, column):
        column.values[...] %= 1e4
        return super().prepare(column)


class FitsInPlace(Sound):
    def fit(self, column):
        values = column.read().values
        values -= 1
        return {"mean": torch.tensor(values + 1).mean(0).float()}


class LikelihoodByChance(Sound):
    def likelihood(self, parameters):
        return super().likelihood(parameters + 0.1 * torch.randn_like(parameters))


class DensityInPlace(Sound):
    def log_prob(self, likelihood, x, observed):
        return super().log_prob(likelihood, x.mul_(0.9), observed)


class SameForAll(Letter):
    """Its best value does not depend on what it is given."""

    def point(self, likelihood):
        return F.one_hot(torch.zeros_like(likelihood.logits.argmax(-1)), 3).float()


class ZeroForAll(Sound):
    def point(self, likelihood):
        return torch.zeros_like(likelihood.mean)


class OneCellForAll(Wave):
    def point(self, likelihood):
        return torch.cat([0 * likelihood.mean[:, :1], likelihood.mean[:, 1:]], -1)


class LeastLikely(Letter):
    def point(self, likelihood):
        return F.one_hot(likelihood.logits.argmin(-1), 3).float()


class Mirrored(Wave):
    def point(self, likelihood):
        return -likelihood.mean


class ShowsTheOpposite(Sound):
    def show(self, x):
        return super().show(-x)


class ShowsModelUnits(Standardised):
    def show(self, x):
        return [f"a={a:.3f}, b={b:.3f}" for a, b in x.tolist()]


class ShowsTheNextLetter(Letter):
    def show(self, x):
        return super().show(x.roll(1, -1))


class ShowsFewDigits(Wave):
    """Sound: it prints one digit of each cell, beside the cell's number."""

    def show(self, x):
        rows = self.restore(x).values
        return [" ".join(f"{name}={cell:.1f}" for name, cell in enumerate(row)) for row in rows]

    def restore(self, x):
        return Column(super().restore(x).values, names=tuple(map(str, range(16))))


class ShowsOtherUnits(Sound):
    """Sound: parse reads the units that it prints."""

    def show(self, x):
        return [
            ",".join(f"{cell / 1000:.6f} km" for cell in row) for row in self.restore(x).values
        ]

    def parse(self, text):
        if "km" not in text:
            return super().parse(text)
        return Column(1000 * super().parse(text.replace("km", "")).values)


class CountsTheWrongOnes(Letter):
    """An accuracy of 0 if the prediction is right."""

    def compare(self, prediction, x):
        return {"accuracy": (prediction.argmax(-1) != x.argmax(-1)).float()}


class ComparesWithTheOpposite(Sound):
    def compare(self, prediction, x):
        return {"how far": (prediction + x).norm(dim=1)}


class SharesOfTheRight(Sound):
    """An error that is 1 if nothing is wrong."""

    def compare(self, prediction, x):
        return {"rmse": (-(prediction - x).norm(dim=1)).exp()}


class ComparesWithItself(Sound):
    def compare(self, prediction, x):
        return {"absolute error": (x - x).abs().mean(1)}


class ComparesInManyWays(Sound):
    """Sound: statistics that rise, fall, or are 0 if the prediction is right."""

    def compare(self, prediction, x):
        away = prediction - x
        return {
            "error": away.mean(1),
            "negative squared error": -away.square().mean(1),
            "fit": (-away.square()).exp().mean(1),
            "accuracy of signs": ((prediction > 0) == (x > 0)).float().mean(1),
        }


class SwapsNames(Sound):
    """Each number under the other one's name."""

    def restore(self, x):
        return Column(super().restore(x).values, names=("weight", "height"))

    @classmethod
    def examples(cls):
        sound = super().examples()

        def column(n, seed):
            return replace(sound.column(n, seed), names=("height", "weight"))

        return replace(sound, column=column)


class RemembersAColumn(Sound):
    """It keeps what it prepared by length and first value."""

    def prepare(self, column):
        known = self.__dict__.setdefault("known", {})
        key = (len(column), column.values[0, 0] if len(column) else None)
        if key not in known:
            known[key] = super().prepare(column)
        return tuple(known[key])


class MaskOfTheBatch(Sound):
    """A cell is observed if the column has a larger one."""

    def prepare(self, column):
        x, _ = super().prepare(column)
        return x, x < x.max(0, keepdim=True).values


class CutsLongColumns(Sound):
    def prepare(self, column):
        x, observed = super().prepare(column)
        return (x.clamp(-1, 1) if len(x) > 256 else x), observed


class RestoresAnEarlierBatch(Sound):
    """It keeps what it restored by length and first value."""

    def restore(self, x):
        known = self.__dict__.setdefault("known", {})
        key = (len(x), x.flatten()[0].detach().item())
        if key not in known:
            known[key] = super().restore(x)
        return known[key]


class SpreadOfADecoder(Sound):
    """Sound: its decoder gives means and logarithms of deviations."""

    def decoder(self, input_dim):
        return nn.Linear(input_dim, 2 * DIM)

    def likelihood(self, parameters):
        mean, log_deviation = parameters.chunk(2, -1)
        deviation = (0.1 * log_deviation).exp()
        return Independent(Normal(mean, deviation, validate_args=False), 1)


class ScaleDetached(SpreadOfADecoder):
    """Half of the decoder's output gets no gradient."""

    def likelihood(self, parameters):
        mean, log_deviation = parameters.chunk(2, -1)
        return super().likelihood(torch.cat([mean, log_deviation.detach()], -1))


class NegativeGradient(Sound):
    def likelihood(self, parameters):
        return super().likelihood(2 * parameters.detach() - parameters)


class HalfGradient(Sound):
    def likelihood(self, parameters):
        return super().likelihood(0.5 * parameters + 0.5 * parameters.detach())


class NoGradientOfIncompleteItems(Sound):
    """Items with unobserved cells train nothing."""

    def log_prob(self, likelihood, x, observed):
        nats = super().log_prob(likelihood, x, observed)
        return nats if observed is None else torch.where(observed.all(1), nats, nats.detach())


class Correlated(Sound):
    """Sound: its cells depend on each other, so log p of the parts does not add up."""

    def log_prob(self, likelihood, x, observed):
        seen = torch.ones_like(x, dtype=torch.bool) if observed is None else observed
        away = torch.where(seen, x - likelihood.mean, 0.0)
        alone = Normal(0.0, 1.0, validate_args=False).log_prob(away)
        second = Normal(0.6 * away[:, 0], 0.8, validate_args=False).log_prob(away[:, 1])
        second = torch.where(seen[:, 0], second, alone[:, 1])
        return torch.where(seen, torch.stack([alone[:, 0], second], 1), 0.0).sum(1)

    def sample(self, likelihood, generator):
        noise = torch.randn(likelihood.mean.shape, generator=generator)
        second = 0.6 * noise[:, 0] + 0.8 * noise[:, 1]
        return likelihood.mean + torch.stack([noise[:, 0], second], 1)


class RescalesMissing(Sound):
    """Log p of the observed cells times cells / observed."""

    def log_prob(self, likelihood, x, observed):
        nats = super().log_prob(likelihood, x, observed)
        return nats if observed is None else nats * DIM / observed.sum(1).clamp(min=1)


class LosesIncompleteItems(Sound):
    """Log p is 0 for any item with an unobserved cell."""

    def log_prob(self, likelihood, x, observed):
        nats = super().log_prob(likelihood, x, observed)
        return nats if observed is None else torch.where(observed.all(1), nats, 0.0)


class Squeezed(nn.Module):
    def forward(self, x):
        return x.squeeze(0)


class SqueezesOneItem(Sound):
    """Its decoder drops the dimension of items if there is one item."""

    def decoder(self, input_dim):
        return nn.Sequential(super().decoder(input_dim), Squeezed())


class SqueezesTheInputOfOneItem(Sound):
    """Its encoder drops the dimension of items if there is one item."""

    def encoder(self):
        return nn.Sequential(Squeezed(), super().encoder())


class CentredIfMany(nn.Module):
    def forward(self, x):
        return x if len(x) > 1 else x - x.mean()


class DecodesOneItemOtherwise(Sound):
    def decoder(self, input_dim):
        return nn.Sequential(super().decoder(input_dim), CentredIfMany())


class DrawsFromTheSeed(Sound):
    """Each call gives the same noise."""

    def sample(self, likelihood, generator):
        source = torch.Generator().manual_seed(generator.initial_seed())
        return likelihood.mean + torch.randn(likelihood.mean.shape, generator=source)


class ResamplesFromTheSeed(Sound):
    def resample(self, x, generator):
        source = torch.Generator().manual_seed(generator.initial_seed())
        return x + 0.1 * torch.randn(x.shape, generator=source)


class ReadsNaNAsZero(Sound):
    def prepare(self, column):
        return super().prepare(Column(np.nan_to_num(column.values)))

    @classmethod
    def examples(cls):
        return replace(super().examples(), invalid={})


class Count(Codec):
    """A count: a sound codec of whole numbers."""

    kind, event_shape, feature_dim = "count", (1,), 8

    def prepare(self, column):
        values = np.asarray(column.values, dtype=float).reshape(-1, 1)
        for row, (value,) in enumerate(values):
            if not (0 <= value < np.inf and value == self.whole(value)):
                raise UnsupportedValue(row, value, "a whole number from 0")
        return torch.as_tensor(np.floor(values), dtype=torch.float32), None

    def whole(self, value):
        return np.floor(value)

    def encoder(self):
        return mlp(1, [8, 8], "tanh")

    def decoder(self, input_dim):
        return nn.Linear(input_dim, 1)

    def likelihood(self, parameters):
        return Independent(Poisson(F.softplus(parameters) + 1e-3, validate_args=False), 1)

    def point(self, likelihood):
        return likelihood.mean.floor()

    def sample(self, likelihood, generator):
        return torch.poisson(likelihood.mean, generator=generator)

    def restore(self, x):
        return Column(x[:, 0].detach().cpu().double().numpy())

    def parse(self, text):
        return Column(np.array([float(text)]))

    @classmethod
    def examples(cls):
        return Examples(
            lambda n, s: Column(np.random.default_rng(s).poisson(3, n).astype(float)),
            invalid={"negative": Column(np.array([1.0, -1.0]))},
            support=torch.arange(0, 60.0)[:, None],
        )


class CutsOffFractions(Count):
    def whole(self, value):
        return value


class Word(Codec):
    """Three letters, each a or b: a sound codec of texts."""

    kind, event_shape, feature_dim = "word", (3,), 8

    def prepare(self, column):
        words = [self.read(text) for text in column.values]
        for row, word in enumerate(words):
            if len(word) != 3 or set(word) - {"a", "b"}:
                raise UnsupportedValue(row, repr(column.values[row]), "three letters, a or b")
        return torch.tensor([[float(letter == "b") for letter in word] for word in words]), None

    def read(self, text):
        return text

    def encoder(self):
        return mlp(3, [8, 8], "tanh")

    def decoder(self, input_dim):
        return nn.Linear(input_dim, 3)

    def likelihood(self, parameters):
        return Independent(Bernoulli(logits=parameters, validate_args=False), 1)

    def point(self, likelihood):
        return (likelihood.mean > 0.5).float()

    def sample(self, likelihood, generator):
        return torch.bernoulli(likelihood.mean, generator=generator)

    def restore(self, x):
        return Column(["".join("ab"[int(c)] for c in row) for row in x.round().tolist()])

    def parse(self, text):
        return Column([text])

    @classmethod
    def examples(cls):
        def column(n, seed):
            letters = np.random.default_rng(seed).choice(["a", "b"], (n, 3))
            return Column(["".join(row) for row in letters])

        support = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 3)
        return Examples(column, support=support, texts=("aab",))


class FoldsCapitals(Word):
    def read(self, text):
        return text.lower()


class CutsTexts(Word):
    def read(self, text):
        return text[:3]


class StripsTexts(Word):
    def read(self, text):
        return text.strip()


class NamedCells(Sound):
    """Sound: it reads cells by their names."""

    def fit(self, column):
        return {**super().fit(column), "names": list(column.names)}

    def prepare(self, column):
        names = column.names or self.state["names"]
        places = [list(names).index(name) for name in self.state["names"]]
        return super().prepare(Column(np.asarray(column.values)[:, places]))

    def restore(self, x):
        return Column(super().restore(x).values, names=tuple(self.state["names"]))

    def parse(self, text):
        if text.count(",") != DIM - 1:
            raise ValueError(f"{text!r}: expected {DIM} numbers")
        return super().parse(text)

    @classmethod
    def examples(cls):
        sound = super().examples()

        def column(n, seed):
            return replace(sound.column(n, seed), names=("height", "weight"))

        return replace(sound, column=column)


class ChecksNames(NamedCells):
    """Sound: it refuses cells in another order."""

    def prepare(self, column):
        column.check_names(self.state["names"], renamed=False)
        return super().prepare(column)


class IgnoresNames(NamedCells):
    def prepare(self, column):
        return super().prepare(replace(column, names=None))


STRANGERS = {
    ReadsNaNAsZero: (GAP, r"nan.* refused, or its NaN unobserved; got the model input .*Raise Un"),
    CutsOffFractions: (
        FRACTIONS,
        r"\.5 refused, reported by doubts, or kept; got the model input",
    ),
    CutsTexts: (ENDS, "refused, reported by doubts, or kept; got the model input of"),
    StripsTexts: (ENDS, "refused, reported by doubts, or kept; got the model input of"),
    FoldsCapitals: (CAPITALS, "[AB]{3}'? refused, reported by doubts, or kept; got the model inp"),
    IgnoresNames: (ORDER, r"cells named \('weight', 'height'\) to be read by their names"),
    SqueezesOneItem: (ONE, r"the decoder \(1, 2\) for one item; got \(2,\)\. Do not squeeze"),
    SqueezesTheInputOfOneItem: (ONE, r"the encoder \(1, 4\) for one item; got \(4,\)"),
    DecodesOneItemOtherwise: (ONE, "the decoder of one item alone as in a batch: .*; got"),
    DrawsFromTheSeed: (IN_A_ROW, "sample to give other values at the next call .*; got the same"),
    ResamplesFromTheSeed: (IN_A_ROW, "resample to give other values at the next call"),
    RescalesMissing: (ADD_UP, "log_prob of the cell 0 plus .* that of all cells: .*not rescaled"),
    LosesIncompleteItems: (ADD_UP, r"log_prob of the cell 0 plus .*; got \[0\.0, 0\.0"),
    ScaleDetached: (
        GRADIENT,
        r"log_prob with the slopes of its values, .* random directions\. Do",
    ),
    NegativeGradient: (GRADIENT, "a gradient of log_prob with the slopes of its values"),
    HalfGradient: (GRADIENT, "a gradient of log_prob with the slopes of its values"),
    NoGradientOfIncompleteItems: (GRADIENT, "log_prob, some cells unobserved with the slopes"),
    RestoresAnEarlierBatch: ("test_restore_undoes_prepare", "the inner rows in reverse to give"),
    SwapsNames: (
        NAMES,
        r"names in the order of the column, \('height', 'weight'\); got \('weight'",
    ),
    RemembersAColumn: (ROWS, "the inner rows in reverse to give"),
    MaskOfTheBatch: (ROWS, "row 4 alone to be observed as they are in the whole column"),
    CutsLongColumns: (ROWS, "600 rows to give"),
    CountsTheWrongOnes: (BEST, r"'accuracy' of true values to be highest beside .*; got \[0\.0"),
    ComparesWithTheOpposite: (BEST, "'how far' of true values to be the lowest, or the highest"),
    SharesOfTheRight: (BEST, "'rmse' of true values to be lowest"),
    ComparesWithItself: (BEST, "something else for values of other items: .*absolute error"),
    ShowsTheOpposite: (SHOWN, r"show to give the value \[.*\] of restore, within the printed"),
    ShowsModelUnits: (SHOWN, r"show to give the value .*; got 'a=|got a="),
    ShowsTheNextLetter: (SHOWN, "show to give the value '[abc]' of restore"),
    SameForAll: (FOLLOWS, "point to be nearly as likely as a sample.*the same for all 16 items"),
    ZeroForAll: (FOLLOWS, "got .*the same for all 16 items.*of the likelihood"),
    OneCellForAll: (FOLLOWS, "point in cell 0 to be .*the same for all 16 items"),
    LeastLikely: (FOLLOWS, "point to be nearly as likely as a sample"),
    Mirrored: (FOLLOWS, "point to be nearly as likely as a sample"),
    LikelihoodOfTheBatch: (
        APART,
        "log_prob of an item whatever the others are: .*each item independently",
    ),
    PointOfTheBatch: (APART, "point of an item whatever the others are"),
    SampleOfTheBatch: (APART, "sample of an item whatever the others are"),
    RoundsToHalves: (
        LOSSY,
        r"restore to give the raw value .* back, or doubts to report it; got",
    ),
    RoundsAndDoubtsOthers: (LOSSY, "restore to give the raw value .* back, or doubts to report"),
    MergesLetters: (LOSSY, "the raw value 'b' back, or doubts to report it; got 'a'"),
    WrapsInPlace: (RAW, "raw values left as they are by prepare: .*Copy the values before"),
    FitsInPlace: (RAW, "raw values left as they are by fit"),
    LikelihoodByChance: (CHANCE, "likelihood to draw nothing; got a draw of global randomness"),
    DensityInPlace: (EDITED, "log_prob to leave its input alone; got an edit in place"),
    HoldsAWeight: (WEIGHTS, r"in the codec's attribute 'spread'\. Create the weight in encoder"),
    ScalesByAWeight: (PREPARED, "to_input without weights; got a result with a gradient"),
    HidesLayers: (WEIGHTS, r"register, and no others; got one of shape"),
    TiesItsNetworks: ("test_codecs_share_no_state", "fresh parameters from each encoder"),
    LearnsArrays: (STATE, r"'low': array\(\[0\., 0\.\]\).*torch\.as_tensor"),
    LearnsNaN: (STATE, "'least': nan"),
    LearnsHalfACharacter: (STATE, "'symbols': .*surrogates not allowed"),
    ClassCalledNothing: (DECLARED, r"classes to be None or a tuple of names; got \(''"),
    LearnsByNumber: (STATE, r"'names': \{1: 'one'\}, which comes back as \{'1': 'one'\}"),
    LearnsAWeight: (STATE, "'scale' without a gradient; got a weight"),
    LearnsAList: (STATE, r"fit to give a mapping of what it learned; got \[\{"),
    FailsToLearn: (STATE, r"KeyError: 'mean' \(in FailsToLearn.fit, strangers.py:\d+\)"),
    Scalar: (DECLARED, r"a tuple of one size > 0 at least; got \(\)\. One number per item"),
    SizeOfFloats: (DECLARED, r"event_shape .*; got \(2\.0,\)"),
    WideByText: (DECLARED, "feature_dim to be a whole number > 0; got '4'"),
    OddKind: (DECLARED, "kind 'Mein Codec!': expected a word such as"),
    ListOfClasses: (DECLARED, "classes to be None or a tuple of names; got"),
    OneScaleForAll: (DECLARED, r"log_scale to give a tensor \(event…\) = \(2,\); got shape \(\)"),
    ScaleAsAnArray: (DECLARED, "log_scale to give a tensor .* got a ndarray"),
    ScaleOfNothing: (DECLARED, "log_scale to give finite numbers; got NaN or infinity"),
    ScaleInWholeNumbers: (DECLARED, "log_scale to give floats; got torch.int64"),
    ScaleIsAWeight: (DECLARED, "log_scale without a gradient; got a weight"),
    ScaleElsewhere: (DECLARED, "log_scale on the CPU; got meta"),
    DoubtsNothing: (DOUBTS, r"doubts to give pairs .*; got None\. Return \(\)"),
    DoubtsByText: (DOUBTS, "doubts to give pairs of a row, 0 to 5, and a text; got 'strange'"),
    DoubtsARowTooFar: (DOUBTS, "pairs of a row, 0 to 5, and a text; got the row 6"),
    DoubtsWithoutWords: (DOUBTS, "pairs of a row, 0 to 5, and a text; got the text ''"),
    WrongDefault: ("test_config_survives_toml_and_has_a_schema", "many"),
    IntegerInput: (PREPARED, r"to_input to give float32; got torch.int64\. Cast it"),
    NaNForMissing: (PREPARED, "missing to give finite numbers; got NaN"),
    DoubleForMissing: (PREPARED, "missing to give float32; got torch.float64"),
    OneRowForMissing: (PREPARED, r"missing to give a tensor .* = \(6, 2\); got shape \(1, 2\)"),
    MaskTheWrongWay: (PREPARED, "False where raw values are NaN"),
    MaskOfRows: (PREPARED, r"observed \(6, 2\); got \(6,\)"),
    ViewOfOneItem: (PREPARED, r"resample to give a tensor .* got shape \(1, 2\)"),
    ViewInHalf: (PREPARED, "fixed to give float32; got torch.float16"),
    PreparesWithNoise: (ROWS, "prepare to be deterministic"),
    SortsItsColumn: (RAW, "raw values left as they are"),
    ConditionForgetsTheMean: ("test_conditions_are_prepared_alike", "condition to give prepared"),
    ColumnOfNats: (NETWORKS, r"log_prob to give a tensor \(b,\) = \(6,\); got shape \(6, 1\)"),
    WholeNumberedPoint: (FLOAT32, "point in float32; got torch.int64"),
    NaNPoint: (NETWORKS, "point to give finite numbers; got NaN"),
    HalfPrecision: (FLOAT32, "in float32; got torch.float16"),
    InfiniteInside: ("test_log_prob_is_finite_on_the_support", "a finite log_prob"),
    DrawsTheMean: ("test_samples_follow_the_density", "samples in cell 0 of the value"),
    DrawsTooWide: ("test_samples_follow_the_density", "follow log_prob: .* in dimension 0; got"),
    DrawsCellsTooWide: ("test_samples_follow_the_density", "follow log_prob: .* in cell 0; got"),
    DrawsUniformly: ("test_samples_follow_the_density", r"of the value \[.*of all, as log_prob"),
    DrawsBetweenLetters: ("test_samples_follow_the_density", "sample to give values of the supp"),
    PointBeyond: ("test_points_lie_within_the_support", "the ends of the support"),
    SeesOneCell: ("test_the_encoder_sees_every_cell", r"1 of 2 cells that .* at \[\(1,\)\]"),
    RestoresAnArray: ("test_restore_undoes_prepare", r"Column of 6; got a ndarray\. Return mmvae"),
    RestoresTensors: ("test_restore_undoes_prepare", "one of a Tensor. Its values are an array"),
    RestoresDistinct: ("test_restore_undoes_prepare", "Column of 6; got one of 3"),
    ComparesOnce: ("test_compare_gives_numbers_per_item", r"'distance': shape \(\)\. Reduce all"),
    ComparesWithNumbers: ("test_compare_gives_numbers_per_item", "'distance': a float"),
    ComparesCodes: ("test_compare_gives_numbers_per_item", r"'right': torch.bool\. Cast it"),
    ComparesWithTheRest: ("test_compare_gives_numbers_per_item", "'rank' of an item, whatever"),
    ParsesAList: ("test_parse_gives_one_row_or_refuses", "parse to give a Column of 1; got"),
    ParsesTwoRows: ("test_parse_gives_one_row_or_refuses", "parse to give a Column of 1; got one"),
    ParsesByKey: ("test_parse_gives_one_row_or_refuses", r"KeyError: .*\(in ParsesByKey.parse"),
    OtherNumbers: ("test_classes_have_their_numbers", r"class_index \[0\] of parse\('a'\); got"),
    CountsItsCalls: ("test_state_stays_as_it_was_fitted", "another calls"),
    ForgetsWhatItLearned: ("test_codecs_share_no_state", "another codec was fitted"),
    ShiftsByChance: ("test_a_loaded_codec_gives_the_same", "the same input .* after loading"),
    SaysNoScale: (
        UNITS,
        r"log_scale to be log s = \[.*multiplies cells by s = \[.*got None\. log",
    ),
    ScaleTheWrongWay: (UNITS, r"log_scale to be log s = .*; got \[-"),
    ForgetsUnits: (UNITS, "log_scale to be log s = .*Or set density"),
    SubtractsNothing: ("test_total_probability_is_one", "over the grid.*hold -log s of each"),
    WaveSubtractsNothing: ("test_total_probability_is_one", "over cell 0.*hold -log s of each"),
    OneNoiseForAll: (SAMPLES, "large values of cells 0 and 1 in 0.2.* got 0.4.*independently"),
    OneNoiseForAWave: (SAMPLES, "large values of cells 0 and 8 in 0.2.*noise of each cell"),
    CutsOff: (FAR, "prepared as two values, or refused, or reported by doubts; got"),
    PointByChance: (CHANCE, "point to draw nothing; got a draw of global randomness"),
    LearnsByChance: (CHANCE, "fit to draw nothing; got a draw"),
    ParsesOtherUnits: (
        "test_parse_gives_one_row_or_refuses",
        "to be the value that restore writes so",
    ),
    HasAFloor: (NO_FLOOR, r"log_prob that differs .* of cell 0, far .*; got -1e\+?09|-1000000000"),
    WaveWithAFloor: (NO_FLOOR, r"got -1000\.0 for both\. A floor under log p is no density"),
    ParsesTheRest: (PARTS, r"parse\(.*\) to leave out the cells that .*not named unobserved"),
    ParsesNames: (PARTS, r"parse\('height=.*'\) to leave out the cells that it does not name"),
    AddsANat: ("test_total_probability_is_one", "a total probability of 1"),
    AddsACellsNats: ("test_total_probability_is_one", "a total probability of 1"),
}
"""Codec → the one check that fails, and what it says."""
