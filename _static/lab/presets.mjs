// Exact settings, with a sentence each on what to look for. tests/browser/test_playground.py holds each to its sentence.

export const PRESETS = [
  {
    name: "A sound net",
    look: "In both layers blue gathers right of the dashed threshold and orange left of it, and either layer alone tells the moons apart.",
    change: {},
  },
  {
    name: "No normalisation",
    look: "Far from the middle everything excites a layer, near it little does, whatever the label says: goodness follows the length of the input, and after sixty epochs the net still errs far more often than the sound one.",
    change: { norm: "none" },
  },
  {
    name: "LayerNorm instead",
    look: "About as good as the sound net here: taking the mean away as well is another algorithm, not a disaster.",
    change: { norm: "layernorm" },
  },
  {
    name: "Lies that may be true",
    look: "With two labels, half of the lies are the truth: the loss of both layers stays above one half for ever, and the heaps hardly part. The answers are right all the same.",
    change: { neg: "any" },
  },
  {
    name: "Lies drawn once",
    look: "Each digit meets one of its nine lies and no other. Do you see it in the error? Choose random lies and compare: most seeds differ by more.",
    change: { data: "digits", neg: "once" },
  },
  {
    name: "A threshold out of reach",
    look: "A fresh layer's goodness is near 1. To come up to 10 it must grow its weights first: for some epochs the losses are a hundred times as large, and the net knows less than the sound one.",
    change: { theta: 10, layers: 3 },
  },
  {
    name: "A rate that is too large",
    look: "Within the first epoch a layer falls silent or its loss runs away, and the run stops.",
    change: { lr: 10 },
  },
  {
    name: "A loss on pairs",
    look: "There is no threshold in this loss: only the distance between the heaps counts, and they lie wherever they lie.",
    change: { loss: "pair", lr: 0.003 },
  },
  {
    name: "One layer after another",
    look: "Layer 2 stays as it was drawn for twenty epochs, and spoils the sum; then it learns, and layer 1 does not change any more.",
    change: { order: "turns" },
  },
  {
    name: "Hard lies on digits",
    look: "The lies are those that the first layer finds likely. Watch the strokes appear in its weights.",
    change: { data: "digits", neg: "hard", loss: "pair", lr: 0.003 },
  },
];
