// Goroutines by stack, searchable; single ones are fetched when they are asked for.
import { useMemo, useState } from "preact/hooks";
import { fetchGroup } from "./api.ts";
import { blockingFrame, count, duration, place, plural } from "./format.ts";
import { useGoroutines } from "./goroutines.ts";
import type { Frame, Member, Overview, StackGroup } from "./types.ts";

/** Groups beyond this many are reached by searching. */
const SHOWN = 200;
/** Goroutines fetched at once. */
const PAGE = 100;
const NOBODY = new Map();

interface Searchable {
  key: string;
  group: StackGroup;
  text: string;
}

function searchable(group: StackGroup): Searchable {
  const stack = group.stack.map((frame) => `${frame.function} ${frame.file}:${frame.line}`).join("\n");
  const key = `${group.wait_reason ?? group.status}\n${stack}\n${group.created_by?.function ?? ""}`;
  return { key, group, text: key.toLowerCase() };
}

export function StackList({ goroutine }: { goroutine: { stack: Frame[]; created_by: Frame | null } }) {
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

/** The members of a group: the first ones, and others a page at a time. */
function Members({ pid, group }: { pid: number; group: StackGroup }) {
  const [members, setMembers] = useState<Member[]>([]);
  const [failed, setFailed] = useState<string | null>(null);
  const more = (): void => {
    fetchGroup(pid, group.id, members.length, PAGE).then(
      (page) => setMembers((before) => [...before, ...page.goroutines]),
      (reason: unknown) => setFailed(reason instanceof Error ? reason.message : String(reason)),
    );
  };
  if (members.length === 0) {
    return (
      <p class="faint">
        {plural(group.count, "goroutine")}: {group.examples.join(", ")}{" "}
        {group.count > group.examples.length && <button type="button" onClick={more}>List them</button>}
        {failed}
      </p>
    );
  }
  return (
    <p class="faint">
      {members.map(({ id, wait_seconds: seconds }) => (
        <span key={id}>{id}{seconds !== null && ` (${duration(seconds)})`}, </span>
      ))}
      {members.length < group.count && <button type="button" onClick={more}>{PAGE} more</button>}
      {failed}
    </p>
  );
}

/** A goroutine that was searched for by its id. */
function Found({ pid, id }: { pid: number; id: number }) {
  const goroutine = useGoroutines(pid, [id], NOBODY).get(id);
  if (!goroutine) return null;
  return (
    <article class="group">
      <h4>goroutine {id} [{goroutine.wait_reason ?? goroutine.status}]</h4>
      <StackList goroutine={goroutine} />
    </article>
  );
}

export function Stacks({ pid, overview }: { pid: number; overview: Overview }) {
  const [query, setQuery] = useState("");
  const groups = useMemo(() => overview.groups.map(searchable), [overview]);
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  const id = words.length === 1 && /^\d+$/.test(words[0]!) ? Number(words[0]) : null;
  const found = groups.filter(({ text, group }) =>
    words.every((word) => text.includes(word) || group.examples.some((example) => String(example) === word)),
  );
  return (
    <section aria-labelledby="stacks">
      <h3 id="stacks">Goroutines by stack ({count(overview.groups_total)})</h3>
      <label class="search">
        Search function, file, reason or goroutine id{" "}
        <input type="search" value={query} onInput={(event) => setQuery(event.currentTarget.value)} />
      </label>
      <p class="faint" role="status">
        {plural(found.length, "group")}{found.length > SHOWN && `, the largest ${SHOWN} shown`}
      </p>
      {id !== null && <Found key={id} pid={pid} id={id} />}
      {found.slice(0, SHOWN).map(({ key, group }) => (
        <details key={key} class="group">
          <summary>
            <b>{count(group.count)}</b> × {group.wait_reason ?? group.status}
            {group.oldest_seconds !== null && `, up to ${duration(group.oldest_seconds)}`}
            {group.system && <span class="faint"> (runtime's own)</span>}{" "}
            <code>{blockingFrame(group.stack)?.function ?? ""}</code>
          </summary>
          <Members pid={pid} group={group} />
          <StackList goroutine={group} />
        </details>
      ))}
    </section>
  );
}
