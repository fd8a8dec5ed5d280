import assert from "node:assert/strict";
import { test } from "node:test";
import type { Edge, Finding, SyncObject } from "../types.ts";
import { onCycles, ringOf } from "./cycle.ts";

const pair: Edge[] = [
  { from: 1, object: "0xa", to: 2 },
  { from: 2, object: "0xb", to: 1 },
];

const finding = (edges: Edge[], goroutines: number[], more: Partial<Finding> = {}): Finding => ({
  id: "f",
  kind: "lock-cycle",
  verdict: "proven",
  goroutines,
  count: goroutines.length,
  objects: [],
  edges,
  summary: "",
  since: null,
  ...more,
});

test("a cycle is told from what queues behind it and what it waits for", () => {
  const edges = [...pair, { from: 3, object: "0xa", to: 2 }, { from: 1, object: "0xc", to: 9 }];
  assert.deepEqual(onCycles(edges), new Set([1, 2]));
  assert.deepEqual(onCycles([{ from: 1, object: "0xa", to: 1 }]), new Set([1]));
  assert.deepEqual(onCycles([{ from: 1, object: "0xa", to: 2 }]), new Set());
});

test("what lies between two cycles counts as on one, a tail does not, however long", () => {
  const bridge = [
    { from: 2, object: "0xc", to: 5 },
    { from: 5, object: "0xd", to: 11 },
    { from: 11, object: "0xe", to: 11 },
  ];
  const tail = Array.from({ length: 10_000 }, (_, i) => ({ from: 100 + i, object: `0x${i}`, to: 101 + i }));
  const edges = [...pair, ...bridge, { from: 11, object: "0xf", to: 100 }, ...tail];
  assert.deepEqual(onCycles(edges), new Set([2, 1, 5, 11]));
});

test("a ring starts at the finding's first goroutine and leaves out who is only entangled", () => {
  const entangled = [
    { from: 1, object: "0xa", to: 3 },
    { from: 3, object: "0xb", to: 1 },
  ];
  const ring = ringOf(finding([...entangled, ...pair], [1, 2, 3]), new Map());
  assert.deepEqual(ring, { goroutines: [1, 2], objects: ["0xa", "0xb"], count: 2 });
});

test("waits that do not close are no ring", () => {
  const blocked = finding([{ from: 1, object: "0xa", to: 2 }], [1, 2], { kind: "root-blocker" });
  assert.equal(ringOf(blocked, new Map()), null);
  assert.equal(ringOf(finding([], []), new Map()), null);
  const queue = finding([{ from: 1, object: "0xa", to: 2 }], [1], { kind: "queued", count: 9 });
  assert.equal(ringOf(queue, new Map()), null);
});

/** Six goroutines, each of which waits on the lock of the next; two of the six edges are listed. */
const cut = finding(
  [
    { from: 0, object: "0x0", to: 1 },
    { from: 1, object: "0x1", to: 2 },
  ],
  [0, 1, 2, 3],
  { count: 6 },
);
const locks = (holders: (i: number) => number[]): Map<string, SyncObject> =>
  new Map(
    Array.from({ length: 6 }, (_, i) => {
      const held = holders(i).map((goroutine) => ({ goroutine, certain: true, function: "f", file: "f.go", line: 1 }));
      return [`0x${i}`, { address: `0x${i}`, kind: "mutex", state: null, waiters: [i], holders: held }];
    }),
  );

test("a ring whose edges are cut off goes on from waiters to holders", () => {
  const ring = ringOf(cut, locks((i) => [(i + 1) % 6]));
  assert.deepEqual(ring, {
    goroutines: [0, 1, 2, 3, 4, 5],
    objects: ["0x0", "0x1", "0x2", "0x3", "0x4", "0x5"],
    count: 6,
  });
});

test("a ring stays open where it is not told who is next, or it would never come home", () => {
  const open = { goroutines: [0, 1, 2, 3], objects: ["0x0", "0x1"], count: 6 };
  assert.deepEqual(ringOf(cut, new Map()), open);
  assert.deepEqual(ringOf(cut, locks(() => [4, 5])), open);
  assert.deepEqual(ringOf(cut, locks((i) => [i === 4 ? 3 : i + 1])), open);
});
