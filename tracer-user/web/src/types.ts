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

/** Goroutines that stand at the same place for the same reason. */
export interface StackGroup {
  id: number;
  count: number;
  oldest_seconds: number | null;
  status: string;
  wait_reason: string | null;
  system: boolean;
  stack: Frame[];
  created_by: Frame | null;
  /** The first of them. */
  examples: number[];
}

/** A goroutine; its group says the rest. */
export interface Member {
  id: number;
  group: number;
  wait_seconds: number | null;
  thread: number | null;
}

/** A goroutine with what its group says of it. */
export interface Goroutine {
  id: number;
  status: string;
  wait_reason: string | null;
  wait_seconds: number | null;
  stack: Frame[];
  created_by: Frame | null;
}

/** Goroutines that were asked for. */
export interface GoroutinePage {
  total: number;
  offset: number;
  groups: StackGroup[];
  goroutines: Member[];
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

/** The last look at a process, its goroutines in groups. */
export interface Overview {
  taken: string;
  process: ProcessFacts;
  groups_total: number;
  groups: StackGroup[];
  /** Those that findings name. */
  goroutines: Member[];
  objects: SyncObject[];
  findings: Finding[];
  threads: Record<string, unknown>;
  deadlock_detector: { armed: boolean; reason: string } | null;
  incomplete: { what: string; why: string }[];
}
