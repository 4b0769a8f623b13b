// node --test tests/lab/worker.test.mjs: how fast the playground trains.
import assert from "node:assert/strict";
import { test } from "node:test";

import { pace, stepsDue } from "../../_static/lab/worker.mjs";

test("a run without a speed limit takes its next step, also where the clock has not moved", () => {
  assert.equal(stepsDue(0, pace("fast", 3) * 20), Infinity);
  assert.equal(stepsDue(12, pace("fast", 3) * 20), Infinity);
});

test("else as many steps are due as the time brings", () => {
  assert.equal(stepsDue(500, pace("slow", 3) * 20), 10);
  assert.equal(stepsDue(500, pace("normal", 3) * 20), 20);
  assert.equal(stepsDue(500, pace("normal", 10) * 20), 50);
  assert.equal(stepsDue(500, pace("normal", 40) * 20), 200);
  assert.equal(stepsDue(0, pace("slow", 3) * 20), 0);
});
