// Exact settings, with a sentence each on what to look for. tests/browser/test_playground.py holds each to its sentence.

export const PRESETS = [
  {
    name: "A sound net",
    hint: "In both layers blue gathers right of the dashed threshold and orange left of it, and either layer alone tells the moons apart.",
    change: {},
  },
  {
    name: "No normalisation",
    hint: "Far from the middle everything excites a layer, near it little does, whatever the label says: goodness follows the length of the input, and after sixty epochs the net still errs far more often than the sound one.",
    change: { norm: "none" },
  },
  {
    name: "LayerNorm instead",
    hint: "About as good as the sound net here: taking the mean away as well is another algorithm, not a disaster.",
    change: { norm: "layernorm" },
  },
  {
    name: "Wrong labels that may be true",
    hint: "With two labels, half of the labels drawn as wrong are the true ones: the loss of both layers stays above one half for ever, and the histograms hardly part. The answers are right all the same.",
    change: { neg: "any" },
  },
  {
    name: "Wrong labels drawn once",
    hint: "Each digit meets one of its nine wrong labels and no other. Do you see it in the error? Choose random ones and compare: most seeds differ by more.",
    change: { data: "digits", neg: "once" },
  },
  {
    name: "A threshold out of reach",
    hint: "A fresh layer's goodness is near 1. To come up to 10 it must grow its weights first: for some epochs the losses are a hundred times as large, and the net knows less than the sound one.",
    change: { theta: 10, layers: 3 },
  },
  {
    name: "A rate that is too large",
    hint: "Within the first epoch a layer falls silent or its loss runs away, and the run stops.",
    change: { lr: 10 },
  },
  {
    name: "A loss on pairs",
    hint: "There is no threshold in this loss: only the distance between the histograms counts, and they lie wherever they lie.",
    change: { loss: "pair", lr: 0.003 },
  },
  {
    name: "One layer after another",
    hint: "Layer 2 stays at its random initial weights for twenty epochs, and spoils the sum; then it learns, and layer 1 does not change any more.",
    change: { order: "turns" },
  },
  {
    name: "Hard negatives on digits",
    hint: "The wrong labels are those that the first layer finds likely. Watch the strokes appear in its weights.",
    change: { data: "digits", neg: "hard", loss: "pair", lr: 0.003 },
  },
];
