import assert from "node:assert/strict";
import { test } from "node:test";
import type { Finding } from "../types.ts";
import { fold } from "./fold.ts";
import { plan } from "./layout.ts";

const ring = (size: number): Finding => {
  const goroutines = Array.from({ length: size }, (_, i) => i);
  const edges = goroutines.map((i) => ({ from: i, object: `0x${i}`, to: (i + 1) % size }));
  const objects = edges.map((edge) => edge.object);
  return { id: "f", kind: "lock-cycle", verdict: "proven", goroutines, count: size, objects, edges, summary: "", since: null };
};

test("a cycle is two rows that meet at both ends, the way there above the way back", () => {
  const { placed } = plan(fold(ring(2), new Map()));
  const [first, there, second, back] = placed.map(({ x, y }) => ({ x, y }));
  assert.ok(first!.x < there!.x && there!.x < second!.x);
  assert.equal(there!.x, back!.x);
  assert.ok(there!.y < back!.y);
});

test("every arrow starts at the node that waits or is held", () => {
  for (const size of [1, 2, 12, 200]) {
    const { placed, routed } = plan(fold(ring(size), new Map()));
    const at = new Map(placed.map((place) => [place.node.id, place]));
    for (const { arrow, points } of routed) {
      const [from, to] = [at.get(arrow.from)!, at.get(arrow.to)!];
      const near = (place: typeof from, { x, y }: { x: number; y: number }): boolean =>
        Math.abs(place.x - x) <= place.width / 2 + 1 && Math.abs(place.y - y) <= place.height / 2 + 1;
      assert.ok(near(from, points[0]!) && near(to, points.at(-1)!), `${arrow.from} to ${arrow.to}`);
    }
  }
});

test("a drawing is as large for twenty thousand on a cycle as for two hundred", () => {
  const [hundreds, thousands] = [200, 20_000].map((size) => plan(fold(ring(size), new Map())));
  assert.equal(thousands!.width, hundreds!.width);
  assert.ok(thousands!.width < 1_600);
});
