// Words and numbers for people.
import type { Frame, Goroutine, Identity } from "./types.ts";

export function duration(seconds: number | null): string {
  if (seconds === null || seconds === undefined) return "before attach";
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} m ${Math.floor(seconds % 60)} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${minutes % 60} m`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

export function ago(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined) return "not yet";
  if (seconds < 120) return `${seconds} s ago`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 120 ? `${minutes} m ago` : `${Math.floor(minutes / 60)} h ago`;
}

export function count(n: number): string {
  return n.toLocaleString("en-US");
}

export function plural(n: number, noun: string): string {
  return `${count(n)} ${noun}${n === 1 ? "" : "s"}`;
}

/** `pool.go:88` of a frame. */
export function place(frame: Pick<Frame, "file" | "line">): string {
  return `${frame.file.slice(frame.file.lastIndexOf("/") + 1)}:${frame.line}`;
}

export function where(identity: Identity | null): string {
  if (!identity) return "";
  if (identity.pod) return [identity.namespace, identity.pod, identity.container].filter(Boolean).join("/");
  return identity.container_id ? identity.container_id.slice(0, 12) : "";
}

/** The first frame that is the program's own rather than the runtime's or sync's. */
export function blockingFrame(stack: Frame[]): Frame | undefined {
  const machinery = /^(runtime|sync|internal\/sync|internal\/poll|sync\/atomic)[./]/;
  return stack.find((frame) => !machinery.test(frame.function)) ?? stack[0];
}

export function kindWords(kind: string): string {
  return kind.replaceAll("-", " ");
}

export function waitWords(goroutine: Goroutine): string {
  if (!goroutine.wait_reason) return goroutine.status;
  return `${goroutine.wait_reason}, ${duration(goroutine.wait_seconds)}`;
}
