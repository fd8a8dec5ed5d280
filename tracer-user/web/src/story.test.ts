import assert from "node:assert/strict";
import { test } from "node:test";
import { splitStory } from "./story.tsx";

const lines = (n: number): string[] => Array.from({ length: n }, (_, i) => `line ${i}`);

test("a short story is told at once, a long one in two parts", () => {
  assert.deepEqual(splitStory(lines(12)), { first: lines(12), rest: [] });
  const { first, rest } = splitStory(lines(35));
  assert.deepEqual(first, lines(8));
  assert.deepEqual([...first, ...rest], lines(35));
});
