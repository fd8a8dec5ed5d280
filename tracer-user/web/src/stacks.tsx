// Goroutines grouped by identical stack, searchable.
import { useMemo, useState } from "preact/hooks";
import { blockingFrame, count, duration, place, plural } from "./format.ts";
import type { Goroutine } from "./types.ts";

/** Groups beyond this many are reached by searching. */
const SHOWN = 200;

interface Group {
  key: string;
  example: Goroutine;
  members: Goroutine[];
  oldest: number | null;
  text: string;
}

export function groupByStack(goroutines: Goroutine[]): Group[] {
  const groups = new Map<string, Group>();
  for (const goroutine of goroutines) {
    const stack = goroutine.stack.map((frame) => `${frame.function} ${frame.file}:${frame.line}`).join("\n");
    const key = `${goroutine.wait_reason ?? goroutine.status}\n${stack}`;
    const group = groups.get(key);
    if (group) {
      group.members.push(goroutine);
      if (goroutine.wait_seconds !== null) group.oldest = Math.max(group.oldest ?? 0, goroutine.wait_seconds);
    } else {
      groups.set(key, {
        key,
        example: goroutine,
        members: [goroutine],
        oldest: goroutine.wait_seconds,
        text: key.toLowerCase(),
      });
    }
  }
  return [...groups.values()].sort(
    (a, b) => Number(a.example.system) - Number(b.example.system) || b.members.length - a.members.length,
  );
}

export function StackList({ goroutine }: { goroutine: Goroutine }) {
  return (
    <ol class="stack">
      {goroutine.stack.map((frame) => (
        <li class={frame.inlined ? "inlined" : ""}>
          <code>{frame.function}</code> <span class="faint" title={`${frame.file}:${frame.line}`}>{place(frame)}</span>
        </li>
      ))}
      {goroutine.created_by && (
        <li class="created">
          created by <code>{goroutine.created_by.function}</code>{" "}
          <span class="faint">{place(goroutine.created_by)}</span>
        </li>
      )}
    </ol>
  );
}

export function Stacks({ goroutines }: { goroutines: Goroutine[] }) {
  const [query, setQuery] = useState("");
  const groups = useMemo(() => groupByStack(goroutines), [goroutines]);
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  const found = groups.filter((group) =>
    words.every((word) => group.text.includes(word) || group.members.some((g) => String(g.id) === word)),
  );
  return (
    <section aria-labelledby="stacks">
      <h3 id="stacks">Goroutines by stack ({count(groups.length)})</h3>
      <label class="search">
        Search function, file, reason or goroutine id{" "}
        <input type="search" value={query} onInput={(event) => setQuery(event.currentTarget.value)} />
      </label>
      <p class="faint" role="status">
        {plural(found.length, "group")}{found.length > SHOWN && `, the largest ${SHOWN} shown`}
      </p>
      {found.slice(0, SHOWN).map((group) => (
        <details key={group.key} class="group">
          <summary>
            <b>{count(group.members.length)}</b> × {group.example.wait_reason ?? group.example.status}
            {group.oldest !== null && `, up to ${duration(group.oldest)}`}
            {group.example.system && <span class="faint"> (runtime's own)</span>}{" "}
            <code>{blockingFrame(group.example.stack)?.function ?? ""}</code>
          </summary>
          <p class="faint">
            {plural(group.members.length, "goroutine")}: {group.members.slice(0, 20).map((g) => g.id).join(", ")}
            {group.members.length > 20 && " …"}
          </p>
          <StackList goroutine={group.example} />
        </details>
      ))}
    </section>
  );
}
