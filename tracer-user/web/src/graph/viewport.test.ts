import assert from "node:assert/strict";
import { test } from "node:test";
import { fit, shows } from "./viewport.ts";

const frame = { width: 800, height: 300 };

test("a small drawing is in the middle, larger than life", () => {
  const view = fit(frame, { width: 400, height: 100 }, { x: 10, y: 50 });
  assert.deepEqual(view, { x: 120, y: 80, scale: 1.4, whole: true });
});

test("a drawing that can be read as a whole is seen as a whole", () => {
  const view = fit(frame, { width: 1_000, height: 100 }, { x: 10, y: 50 });
  assert.deepEqual(view, { x: 0, y: 110, scale: 0.8, whole: true });
});

test("a drawing too long to be read as a whole is seen from its start on", () => {
  const long = { width: 100_000, height: 100 };
  assert.deepEqual(fit(frame, long, { x: 10, y: 50 }), { x: 0, y: 112.5, scale: 0.75, whole: false });
  const middle = fit(frame, long, { x: 50_000, y: 50 });
  assert.equal(middle.x + 50_000 * middle.scale, 400);
  const end = fit(frame, long, { x: 100_000, y: 50 });
  assert.equal(end.x + 100_000 * end.scale, 800);
});

test("a box is shown only when all of it is", () => {
  const view = { x: 0, y: 0, scale: 0.5 };
  const size = { width: 200, height: 60 };
  assert.ok(shows(frame, view, { x: 100, y: 100 }, size));
  assert.ok(!shows(frame, view, { x: 90, y: 100 }, size));
  assert.ok(!shows(frame, view, { x: 1_550, y: 100 }, size));
  assert.ok(!shows(frame, view, { x: 100, y: 590 }, size));
});
