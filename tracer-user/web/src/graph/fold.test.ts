import assert from "node:assert/strict";
import { test } from "node:test";
import type { Edge, Finding, SyncObject } from "../types.ts";
import { fold, onCycles } from "./fold.ts";

const finding = (edges: Edge[], goroutines: number[]): Finding => ({
  id: "f",
  kind: "lock-cycle",
  verdict: "proven",
  goroutines,
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

test("a cycle is told from what queues behind it and what it waits for", () => {
  const edges = [...pair, { from: 3, object: "0xa", to: 2 }, { from: 1, object: "0xc", to: 9 }];
  assert.deepEqual(onCycles(edges), new Set([1, 2]));
  assert.deepEqual(onCycles([{ from: 1, object: "0xa", to: 1 }]), new Set([1]));
  assert.deepEqual(onCycles([{ from: 1, object: "0xa", to: 2 }]), new Set());
});

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

test("a chain longer than a screen is bounded", () => {
  const chain = Array.from({ length: 5_000 }, (_, i) => ({ from: i, object: `0x${i}`, to: i + 1 }));
  const drawing = fold(finding(chain, chain.map((edge) => edge.from)), new Map());
  assert.ok(drawing.nodes.length <= 301);
  assert.ok(drawing.folded > 4_000);
  const known = new Set(drawing.nodes.map((node) => node.id));
  assert.ok(drawing.arrows.every((arrow) => known.has(arrow.from) && known.has(arrow.to)));
});
