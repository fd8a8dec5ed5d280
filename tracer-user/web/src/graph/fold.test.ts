import assert from "node:assert/strict";
import { test } from "node:test";
import type { Edge, Finding, SyncObject } from "../types.ts";
import { fold } from "./fold.ts";

const finding = (edges: Edge[], goroutines: number[]): Finding => ({
  id: "f",
  kind: "lock-cycle",
  verdict: "proven",
  goroutines,
  count: goroutines.length,
  objects: [...new Set(edges.map((edge) => edge.object))],
  edges,
  summary: "",
  since: null,
});

const object = (address: string, waiters: number[]): [string, SyncObject] => [
  address,
  { address, kind: "mutex", state: null, waiters, holders: [] },
];

const pair: Edge[] = [
  { from: 1, object: "0xa", to: 2 },
  { from: 2, object: "0xb", to: 1 },
];

test("two goroutines and two locks are four nodes and four arrows, all on the cycle", () => {
  const drawing = fold(finding(pair, [1, 2]), new Map([object("0xa", [1]), object("0xb", [2])]));
  assert.equal(drawing.nodes.length, 4);
  assert.equal(drawing.arrows.length, 4);
  assert.ok(drawing.nodes.every((node) => node.inCycle));
  assert.ok(drawing.arrows.every((arrow) => arrow.inCycle));
  assert.equal(drawing.folded, 0);
});

test("twenty thousand waiters behind a cycle are one node", () => {
  const queue = Array.from({ length: 20_000 }, (_, i) => i + 10);
  const drawing = fold(finding(pair, [1, 2]), new Map([object("0xa", [1, ...queue]), object("0xb", [2])]));
  assert.equal(drawing.nodes.length, 5);
  assert.equal(drawing.folded, 20_000);
  const folded = drawing.nodes.find((node) => node.type === "goroutines" && node.goroutines.length > 1);
  assert.ok(folded && !folded.inCycle);
});

const circle = (size: number): Edge[] =>
  Array.from({ length: size }, (_, i) => ({ from: i, object: `0x${i}`, to: (i + 1) % size }));
const members = (edges: Edge[]): number[] => edges.map((edge) => edge.from);

test("a cycle of a dozen is drawn whole, its second half on the way home", () => {
  const edges = circle(12);
  const drawing = fold(finding(edges, members(edges)), new Map());
  assert.equal(drawing.nodes.length, 24);
  assert.equal(drawing.foldedRing, 0);
  assert.equal(drawing.arrows.filter((arrow) => arrow.homeward).length, 12);
});

test("the middle of a longer cycle is one node, and the arrows still lead round", () => {
  for (const size of [13, 200, 20_000]) {
    const edges = circle(size);
    const drawing = fold(finding(edges, members(edges)), new Map(edges.map((edge) => object(edge.object, [edge.from]))));
    const ids = drawing.nodes.map((node) => node.id);
    assert.deepEqual(ids.slice(0, 7), ["g0", "o0x0", "g1", "o0x1", "g2", "o0x2", "ring"]);
    assert.deepEqual(ids.slice(8), [`g${size - 2}`, `o0x${size - 2}`, `g${size - 1}`, `o0x${size - 1}`]);
    assert.equal(drawing.foldedRing, size - 5);
    assert.equal(drawing.cycleCount, size);
    assert.equal(drawing.folded, 0);
    const next = new Map(drawing.arrows.map((arrow) => [arrow.from, arrow.to]));
    assert.equal(drawing.arrows.length, ids.length);
    assert.ok(ids.every((id, i) => next.get(id) === ids[(i + 1) % ids.length]));
    assert.ok(drawing.arrows.every((arrow) => arrow.inCycle));
  }
});

test("those who queue behind the folded part of a cycle are one node", () => {
  const edges = circle(200);
  const objects = new Map(edges.map((edge, i) => object(edge.object, i > 10 && i < 100 ? [edge.from, 1000 + i] : [edge.from])));
  const drawing = fold(finding(edges, members(edges)), objects);
  const queue = drawing.nodes.find((node) => node.type === "goroutines" && node.kind === "alike");
  assert.equal(queue?.type === "goroutines" && queue.count, 89);
  assert.equal(drawing.folded, 89);
  assert.deepEqual(
    drawing.arrows.filter((arrow) => arrow.from === queue?.id).map((arrow) => arrow.to),
    ["ring"],
  );
});

test("a cycle whose end is not listed is closed by the node that stands for the rest", () => {
  const edges = circle(20_000).slice(0, 4_096);
  const cut = { ...finding(edges, members(circle(10_000))), count: 20_000 };
  const drawing = fold(cut, new Map());
  assert.deepEqual(
    drawing.nodes.map((node) => node.id),
    ["g0", "o0x0", "g1", "o0x1", "g2", "o0x2", "ring"],
  );
  assert.equal(drawing.foldedRing, 19_997);
  assert.deepEqual(
    drawing.arrows.filter((arrow) => arrow.from === "ring").map((arrow) => arrow.to),
    ["g0"],
  );
});

test("members who wait for the same and hold the same are one node", () => {
  // A hundred workers want the lock of the one who waits for all of them.
  const workers = Array.from({ length: 100 }, (_, i) => i + 1);
  const edges = workers.flatMap((worker) => [
    { from: 0, object: "0xgroup", to: worker },
    { from: worker, object: "0xlock", to: 0 },
  ]);
  const drawing = fold(finding(edges, [0, ...workers]), new Map());
  assert.equal(drawing.nodes.length, 5);
  assert.equal(drawing.cycleCount, 101);
  assert.equal(drawing.folded, 99);
});

test("a chain longer than a screen is bounded", () => {
  const chain = Array.from({ length: 5_000 }, (_, i) => ({ from: i, object: `0x${i}`, to: i + 1 }));
  const drawing = fold(finding(chain, chain.map((edge) => edge.from)), new Map());
  assert.ok(drawing.nodes.length <= 301);
  assert.ok(drawing.folded > 4_000);
  const known = new Set(drawing.nodes.map((node) => node.id));
  assert.ok(drawing.arrows.every((arrow) => known.has(arrow.from) && known.has(arrow.to)));
});
