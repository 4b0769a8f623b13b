"""All experiments of the book by name, in the order in which they are run."""

from experiments.experiment import Experiment
from experiments.trials import (
    affine,
    cifar,
    depth,
    jittered,
    milestones,
    one_page,
    paper_recipe,
    permutation_invariant,
    plain_recipe,
    published,
    recurrent,
    rivals,
    sequences,
    supervised,
    unsupervised,
)

EXPERIMENTS: dict[str, Experiment] = {
    experiment.name: experiment
    for experiment in [
        one_page.ONE_PAGE,
        plain_recipe.PLAIN_RECIPE,
        plain_recipe.IMAGE_NORMALIZED,
        plain_recipe.ONE_PASS,
        permutation_invariant.PERMUTATION_TUNING,
        permutation_invariant.PERMUTATION_INVARIANT,
        supervised.ABLATION,
        paper_recipe.PAPER_RECIPE,
        jittered.JITTERED_TUNING,
        jittered.JITTERED,
        unsupervised.HYBRIDS,
        unsupervised.HYBRIDS_WIDE,
        unsupervised.LOCAL_FIELDS,
        recurrent.RECURRENT,
        cifar.CIFAR,
        sequences.SEQUENCES,
        rivals.RIVALS_TUNING,
        rivals.RIVALS,
        milestones.MILESTONES,
        milestones.FAST_TUNING,
        milestones.FAST_MILESTONES,
        affine.AFFINE_TUNING,
        affine.AFFINE,
        affine.AFFINE_WIDE,
        affine.AFFINE_FASHION_TUNING,
        affine.AFFINE_FASHION,
        published.PUBLISHED,
        depth.DEPTH_TUNING,
        depth.NARROW,
        depth.NARROW_FASHION,
        depth.WIDE,
        depth.WIDE_FASHION,
    ]
}
