// Goroutine counts of each process while this page has been open, for the sparklines.
import { useRef } from "preact/hooks";
import type { ProcessList } from "./types.ts";

const POINTS = 60;

export function useHistory(list: ProcessList | null): Map<string, number[]> {
  const history = useRef(new Map<string, number[]>());
  const seen = useRef<ProcessList | null>(null);
  if (list && list !== seen.current) {
    seen.current = list;
    const next = new Map<string, number[]>();
    for (const process of list.processes) {
      next.set(process.key, [...(history.current.get(process.key) ?? []), process.goroutines].slice(-POINTS));
    }
    history.current = next;
  }
  return history.current;
}
