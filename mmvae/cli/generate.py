"""``mmvae generate``: generate modalities, from others or from the prior."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from mmvae.cli.options import columns, echo, example, json_option, print_json, say
from mmvae.cli.outputs import refuse_output
from mmvae.cli.pictures import contact_sheet, png
from mmvae.foundations import staging, storage
from mmvae.foundations.errors import UsageError, short, shortened

if TYPE_CHECKING:
    from PIL import Image


SHEET = ".png"


@click.command(
    epilog=example(
        "mmvae generate runs/short --given label=7 --count 16",
        "mmvae generate runs/short --given image=photo.png --to label",
        "mmvae generate runs/faces --given attributes=Smiling=2,Male=-2 --out smile.png",
    )
)
@click.argument("run", metavar="RUN", type=click.Path(path_type=Path))
@click.option(
    "--given",
    multiple=True,
    metavar="M=VALUE",
    help="A value of modality M: a label, numbers, the path of a picture. May be repeated for "
    "others; without it z is drawn from the prior.",
)
@click.option(
    "--to",
    multiple=True,
    metavar="M",
    help="Modality to generate; by default all that are not given.",
)
@click.option(
    "--count",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Number of samples of z.",
)
@click.option(
    "--temperature",
    type=click.FloatRange(min=0),
    default=1.0,
    show_default=True,
    help="Scale of the noise in z; 0 uses the point estimate of the posterior.",
)
@click.option(
    "--sample", is_flag=True, help="Sample from p(x|z) too, instead of using its mean or mode."
)
@click.option(
    "--prior",
    type=click.Choice(["fitted", "standard"]),
    help="Prior of z if nothing is given; by default the fitted one, if the run has one.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, help="Seed of every draw.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="PLACE",
    help="A new folder for pictures; or a file: .png for one sheet of pictures, or .parquet, "
    ".csv, .jsonl, .npz for values. Pictures are written to generated, generated-2, … by default.",
)
@json_option
def command(
    run: Path,
    given: tuple[str, ...],
    to: tuple[str, ...],
    count: int,
    temperature: float,
    sample: bool,
    prior: Literal["fitted", "standard"] | None,
    seed: int,
    out: Path | None,
    as_json: bool,
) -> None:
    """Generate modalities with the model of RUN, from any others or from nothing.

    Pictures are written as PNG files, one for each and one sheet of all. Other modalities are
    printed.
    """
    from mmvae.data.output_tables import plain
    from mmvae.experiments.train import load

    values_given = pairs(given)
    if out is not None:
        check_place(out)
        refuse_output(out, run, values_given.values())
    model = load(run)
    drawn = model.draw(values_given, to or None, count, temperature, sample, seed, prior)
    values = {m: plain(model.codecs[m].restore(x).values) for m, x in drawn.items()}
    shown = {m: model.codecs[m].show(x) for m, x in drawn.items()}
    pictures = {m: things for m, things in shown.items() if is_pictures(things)}
    place, files = write(out, values, pictures)
    shown |= {m: [str(path) for path in paths] for m, paths in files.items()}
    if as_json:
        items = [
            {m: shown[m][i] if m in pictures else python(values[m][i]) for m in shown}
            for i in range(count)
        ]
        print_json({"items": items, "out": None if place is None else str(place)})
        return
    rows = [tuple(str(things[i]) for things in shown.values()) for i in range(count)]
    echo(columns([tuple(shown), *rows]))
    if place is not None:
        say(f"Wrote {place}")


def python(value: Any) -> Any:
    """Convert a value of an array to plain Python; leave any other unchanged."""
    return value.tolist() if hasattr(value, "tolist") else value


def pairs(given: Sequence[str]) -> dict[str, str]:
    """``m=value`` texts by modality; the value may hold further equals signs.

    Raises:
        UsageError: A text has no value, or a modality is given twice.
    """
    found: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise UsageError(
                f"--given {shortened(text)}: expected MODALITY=VALUE, such as label=7."
            )
        if name in found:
            raise UsageError(
                f"--given {shortened(text)}: {short(name)} is given twice; give one value of each."
            )
        found[name] = value
    return found


def check_place(out: Path) -> None:
    """Refuse an output path that cannot be written to, before anything is computed.

    Raises:
        UsageError: The ending is unknown, or the folder is not empty.
    """
    from mmvae.data.output_tables import WRITERS, check_output

    if out.suffix and not out.is_dir():
        if out.suffix.lower() not in (SHEET, *WRITERS):
            raise UsageError(
                f"--out {out}: unknown ending {out.suffix!r}, expected one of {SHEET}, "
                f"{', '.join(WRITERS)}, or a folder."
            )
        if not out.parent.is_dir():
            raise UsageError(f"--out {out}: there is no folder {out.parent}; make it first.")
        if out.suffix.lower() in WRITERS:
            check_output(out)
    elif out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"--out {out} exists; name a new or empty folder.")


def is_pictures(things: Sequence[Any]) -> bool:
    """True if a codec shows its values as pictures."""
    from PIL import Image

    return all(isinstance(thing, Image.Image) for thing in things)


Files = Mapping[str, Sequence[Path]]


def write(
    out: Path | None,
    values: Mapping[str, Any],
    pictures: Mapping[str, Sequence[Image.Image]],
) -> tuple[Path | None, Files]:
    """Write the generated values.

    Returns:
        The path, or None if there was nothing to write; and the file of each picture, by modality.

    Raises:
        UsageError: Pictures were requested but there are none, or one sheet for several
            modalities.
        TrainingError: The system refused to write; no incomplete file stays.
    """
    from mmvae.data.output_tables import WRITERS, write_table

    if out is not None and not out.is_dir() and out.suffix.lower() in WRITERS:
        write_table(out, values)
        return out, {m: [out] * len(things) for m, things in pictures.items()}
    if out is not None and not out.is_dir() and out.suffix.lower() == SHEET:
        return out, write_sheet(out, pictures)
    if pictures:
        refuse_one_name_for_two(pictures)
        folder = out or unused_folder()
        return folder, write_folder(folder, pictures)
    if out is not None:
        raise UsageError(
            f"--out {out}: a folder is for pictures, but none is generated ({', '.join(values)}). "
            f"Leave it out, or name a file that ends in one of {', '.join(WRITERS)}."
        )
    return None, {}


def write_sheet(out: Path, pictures: Mapping[str, Sequence[Image.Image]]) -> Files:
    """Write one PNG file: the picture if there is only one, else a sheet of them."""
    if len(pictures) != 1:
        raise UsageError(
            f"--out {out}: expected one modality of pictures, got "
            f"{', '.join(pictures) or 'none'}. Choose it with --to, or name a folder."
        )
    ((m, things),) = pictures.items()
    storage.write_bytes(out, png(things[0] if len(things) == 1 else contact_sheet(things)))
    return {m: [out] * len(things)}


def refuse_one_name_for_two(pictures: Mapping[str, Sequence[Image.Image]]) -> None:
    """Refuse modalities whose files would have the same name: the sheet of a-000, a picture of a.

    Raises:
        UsageError: There are such.
    """
    for m in pictures:
        stem, dash, number = m.rpartition("-")
        if dash and number.isdecimal() and stem in pictures:
            raise UsageError(
                f"{m}{SHEET} would be the sheet of {m!r} and a picture of {stem!r}. Generate one "
                f"of them at a time: --to {m}"
            )


def write_folder(folder: Path, pictures: Mapping[str, Sequence[Image.Image]]) -> Files:
    """A PNG file for each picture, ``m-000.png``, and a sheet of each modality's, ``m.png``."""
    files: dict[str, list[Path]] = {}
    storage.make_folder(folder.parent)
    with staging.staged_folder(folder, replace=folder.is_dir()) as staged:
        for m, things in pictures.items():
            width = max(3, len(str(len(things) - 1)))
            names = [f"{m}-{i:0{width}d}{SHEET}" for i in range(len(things))]
            for name, picture in zip(names, things, strict=True):
                storage.put(storage.within(staged, name), png(picture))
            storage.put(storage.within(staged, f"{m}{SHEET}"), png(contact_sheet(things)))
            files[m] = [folder / name for name in names]
    return files


def unused_folder() -> Path:
    """``generated``, or the first of ``generated-2``, … that does not exist."""
    names = itertools.chain(["generated"], (f"generated-{i}" for i in itertools.count(2)))
    return next(folder for folder in map(Path, names) if not folder.exists())
