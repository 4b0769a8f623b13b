"""What an experiment is: a trial, its configuration, variants, seeds and their cost."""

from __future__ import annotations

import dataclasses
import functools
import json
import typing
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)
from pydantic.dataclasses import dataclass

# A frozen dataclass that knows its fields by name, and holds what their types say:
# anything else is a ValueError with the name, the value and what was expected.
checked = dataclass(
    frozen=True,
    kw_only=True,
    config=ConfigDict(extra="forbid", strict=True, allow_inf_nan=False),
)

Fraction = Annotated[float, Field(ge=0, lt=1)]
# A tuple may be given as a list, which is what a file has.
FROM_LIST = BeforeValidator(lambda v: tuple(v) if isinstance(v, list) else v)
# The pixels of an image, then the units of each layer.
Widths = Annotated[tuple[PositiveInt, ...], Field(min_length=2), FROM_LIST]
Precision = Literal["float32", "bfloat16"]  # of matrix products
# "validation" trains on 50,000 images and evaluates on the other 10,000, where choices
# are made; "test" trains on all 60,000 and evaluates on the test set;
# "validation_and_test" is the first, which at its end reads the test set, too.
Stage = Literal["validation", "test", "validation_and_test"]


# ---- Configurations and experiments


@checked
class Config:
    """Everything that was chosen for a run; each trial has a subclass with its own.

    A word selects what the trial does, or is the only one that the trial knows. A new
    field needs a default, which says what the trial did before: then the stored runs,
    which do not have it, are still runs of this configuration.

    Attributes:
        epochs: of a run.
        eval_every: epochs from one evaluation to the next; the last epoch has one in
            any case.
    """

    epochs: PositiveInt
    eval_every: PositiveInt = 1000

    def as_dict(self) -> dict[str, Any]:
        """Its fields, as JSON has them: tuples as lists."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

    def changed(self, **changes) -> Config:
        """The same but for some fields."""
        return type(self)(**(dataclasses.asdict(self) | changes))


@checked
class Paper:
    """What the paper has beside an experiment.

    Attributes:
        section: where.
        test_error: in per cent, where it gives one.
        network: what it trained, for the table of comparisons.
        judge: which of our errors follows the paper's rule.
    """

    section: str
    test_error: PositiveFloat | None = None
    network: str | None = None
    judge: str = "sum of all layers"


@checked
class Experiment:
    """A table of the book: one configuration, what is varied, and how often it runs.

    Attributes:
        name: of its file of results, and on the command line.
        title: what it is.
        trial: a class, called as trial(config, split): one network in training, with
            `net`, `train_epoch(epoch)`, counted from 0, which returns the epoch's mean
            loss or losses, `errors(split)`, which returns {"error": {"layer 1": per
            cent, …}}, `state_dict()` and `load_state_dict(state)`. `errors` may add
            "wrong": {"layer 1": numbers of the images, …}.
        config: what was chosen.
        variants: what differs from it, by name; {"default": {}} where nothing does.
        seeds: of each variant.
        stages: of each run: "validation", "test" or "validation_and_test".
        core_hours: what all seeds and variants take together, on one core of the
            machine that the stored runs name, from their seconds; about.
        dataset: "mnist", "fashion", "cifar10" or "aesop", whose splits hold strings.
        paper: what the paper has beside it.
    """

    name: Annotated[str, Field(pattern="^[a-z][a-z0-9]*(_[a-z0-9]+)*$")]
    title: str
    trial: type
    config: Config
    variants: Annotated[dict[str, dict[str, Any]], Field(min_length=1)] = Field(
        default_factory=lambda: {"default": {}}
    )
    seeds: Annotated[tuple[NonNegativeInt, ...], Field(min_length=1)]
    stages: Annotated[tuple[Stage, ...], Field(min_length=1)]
    core_hours: PositiveFloat
    dataset: Literal["mnist", "fashion", "cifar10", "aesop"] = "mnist"
    paper: Paper | None = None

    @model_validator(mode="after")
    def check(self) -> Experiment:
        for name in ("seeds", "stages"):
            values = getattr(self, name)
            if len(set(values)) < len(values):
                raise ValueError(f"{name} is {values}, expected each once")
        if "validation_and_test" in self.stages and len(self.stages) > 1:
            raise ValueError("stages: 'validation_and_test' is both, and stands alone")
        _ = self.configs  # every variant is one that the trial knows
        return self

    @functools.cached_property
    def configs(self) -> dict[str, Config]:
        """The whole configuration of each variant, by its name."""
        configs = {}
        for variant, changes in self.variants.items():
            try:
                configs[variant] = self.config.changed(**changes)
            except ValueError as error:
                raise ValueError(f"{self.name}, {variant!r}: {error}") from None
        return configs

    def with_epochs(self, epochs: int) -> Experiment:
        """The same, with other epochs in every variant."""
        variants = {
            variant: changes | ({"epochs": epochs} if "epochs" in changes else {})
            for variant, changes in self.variants.items()
        }
        before = sum(config.epochs for config in self.configs.values())
        return dataclasses.replace(
            self,
            config=self.config.changed(epochs=epochs),
            variants=variants,
            core_hours=self.core_hours * epochs * len(variants) / before,
        )

    def runs(self, seeds: typing.Iterable[int] | None = None) -> list[tuple[int, str]]:
        """(seed, variant) for each run that is wanted, or would be with other seeds."""
        seeds = self.seeds if seeds is None else seeds
        return [(seed, variant) for seed in seeds for variant in self.variants]

    def hours_of(self, runs: typing.Iterable[tuple[int, str]]) -> float:
        """Core-hours of some runs; a variant's share goes by its epochs."""
        epochs = {variant: config.epochs for variant, config in self.configs.items()}
        wanted = sum(epochs[variant] for _, variant in self.runs())
        return self.core_hours * sum(epochs[variant] for _, variant in runs) / wanted
