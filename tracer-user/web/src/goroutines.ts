// Goroutines as their groups describe them.
import { useEffect, useState } from "preact/hooks";
import { fetchGoroutines } from "./api.ts";
import type { Goroutine, Member, StackGroup } from "./types.ts";

/** Each member with what its group says, by id. */
export function described(members: Member[], groups: StackGroup[]): Map<number, Goroutine> {
  const byId = new Map(groups.map((group) => [group.id, group]));
  const goroutines = new Map<number, Goroutine>();
  for (const { id, group: number, wait_seconds } of members) {
    const group = byId.get(number);
    if (!group) continue;
    const { status, wait_reason, stack, created_by } = group;
    goroutines.set(id, { id, status, wait_reason, wait_seconds, stack, created_by });
  }
  return goroutines;
}

/** The goroutines `ids`: from `known` as far as they are there, the others fetched. */
export function useGoroutines(pid: number, ids: number[], known: Map<number, Goroutine>): Map<number, Goroutine> {
  const [fetched, setFetched] = useState<Map<number, Goroutine>>(new Map());
  const missing = ids.filter((id) => !known.has(id) && !fetched.has(id)).join(",");
  useEffect(() => {
    if (missing === "") return;
    let wanted = true;
    void fetchGoroutines(pid, missing.split(",").map(Number)).then(
      (page) => wanted && setFetched((before) => new Map([...before, ...described(page.goroutines, page.groups)])),
      () => {},
    );
    return () => {
      wanted = false;
    };
  }, [pid, missing]);
  return new Map([...fetched, ...known]);
}
