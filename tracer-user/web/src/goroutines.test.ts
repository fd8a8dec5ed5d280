import assert from "node:assert/strict";
import { test } from "node:test";
import { described } from "./goroutines.ts";
import type { StackGroup } from "./types.ts";

const group = (id: number, status: string): StackGroup => ({
  id,
  count: 2,
  oldest_seconds: null,
  status,
  wait_reason: null,
  system: false,
  stack: [],
  created_by: null,
  examples: [],
});

test("a member is described by its group", () => {
  const member = (id: number, of: number) => ({ id, group: of, wait_seconds: id, thread: null });
  const known = described([member(7, 1), member(8, 0), member(9, 5)], [group(0, "running"), group(1, "waiting")]);
  assert.equal(known.get(7)?.status, "waiting");
  assert.equal(known.get(7)?.wait_seconds, 7);
  assert.equal(known.get(8)?.status, "running");
  assert.equal(known.has(9), false);
});
