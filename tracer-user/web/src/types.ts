// The API's documents (schema "gostuck/1", docs/json.md): the fields that the page reads.

export type Verdict = "proven" | "suspected";

export interface Identity {
  namespace?: string | null;
  pod?: string | null;
  container?: string | null;
  container_id?: string | null;
}

export interface ProcessFacts {
  pid: number;
  command: string;
  exe: string;
  go_version: string;
  cgo: boolean;
  stripped: boolean;
  gomaxprocs: number | null;
  cpu_limit: number | null;
  threads: number;
  goroutines: number;
}

export interface ListedProcess extends ProcessFacts {
  key: string;
  identity: Identity | null;
  findings: { proven: number; suspected: number };
  mode?: string | null;
  cost_ratio?: number | null;
  last_look_seconds_ago?: number | null;
}

export interface ProcessList {
  processes: ListedProcess[];
}

export interface Frame {
  function: string;
  file: string;
  line: number;
  inlined?: boolean;
}

export interface Goroutine {
  id: number;
  status: string;
  wait_reason: string | null;
  wait_seconds: number | null;
  system: boolean;
  stack: Frame[];
  created_by: Frame | null;
  waits_on: string[];
  thread: number | null;
}

export interface Holder {
  goroutine: number;
  certain: boolean;
  function: string;
  file: string;
  line: number;
}

export interface SyncObject {
  address: string;
  kind: string;
  state: unknown;
  waiters: number[];
  holders: Holder[];
}

export interface Edge {
  from: number;
  object: string;
  to: number;
}

export interface Finding {
  id: string;
  kind: string;
  verdict: Verdict;
  /** Of a cycle in cycle order; of a large finding the first ones. */
  goroutines: number[];
  /** How many goroutines there are, listed or not. */
  count: number;
  objects: string[];
  edges: Edge[];
  summary: string;
  story?: string[];
  doubts?: string[];
  /** The finding that tells what the goroutines of a queue wait behind. */
  cause?: string | null;
  since: string | null;
}

export interface Diagnosis {
  process: ProcessFacts;
  goroutines: Goroutine[];
  objects: SyncObject[];
  findings: Finding[];
  threads: Record<string, unknown>;
  deadlock_detector: { armed: boolean; reason: string } | null;
  incomplete: { what: string; why: string }[];
}
