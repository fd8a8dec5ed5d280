// Reading the daemon's API, with the bearer token where it asks for one.
import type { Diagnosis, ProcessList } from "./types.ts";

const TOKEN_KEY = "gostuck-token";

/** The daemon wants a token, or another one. */
export class Unauthorized extends Error {}

export function rememberToken(token: string): void {
  sessionStorage.setItem(TOKEN_KEY, token);
}

async function request(path: string, signal?: AbortSignal): Promise<Response> {
  const token = sessionStorage.getItem(TOKEN_KEY);
  const headers: Record<string, string> = token ? { Authorization: `Bearer ${token}` } : {};
  const response = await fetch(path, { headers, signal });
  if (response.status === 401) throw new Unauthorized();
  if (!response.ok) {
    const text = (await response.text()).trim();
    throw new Error(text || `${path} answered ${response.status}`);
  }
  return response;
}

export async function fetchProcesses(): Promise<ProcessList> {
  return (await request("api/v1/processes")).json();
}

export async function fetchDiagnosis(pid: number, signal?: AbortSignal): Promise<Diagnosis> {
  return (await request(`api/v1/processes/${pid}`, signal)).json();
}

/** Splits a server-sent event stream's text into events; returns what is left incomplete. */
export function splitEvents(text: string): { events: { name: string; data: string }[]; rest: string } {
  const blocks = text.replace(/\r\n?/g, "\n").split("\n\n");
  const rest = blocks.pop() ?? "";
  const events = blocks
    .map((block) => {
      let name = "message";
      const data: string[] = [];
      for (const line of block.split("\n")) {
        if (line.startsWith("event:")) name = line.slice(6).trim();
        else if (line.startsWith("data:")) data.push(line.slice(5).replace(/^ /, ""));
      }
      return { name, data: data.join("\n") };
    })
    .filter((event) => event.data !== "");
  return { events, rest };
}

/** Calls back with the process list each time the daemon says that it changed, until aborted. */
export async function followProcesses(
  onList: (list: ProcessList) => void,
  signal: AbortSignal,
): Promise<void> {
  const response = await request("api/v1/events", signal);
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let pending = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const { events, rest } = splitEvents(pending + value);
    pending = rest;
    for (const event of events) {
      if (event.name === "processes") onList(JSON.parse(event.data));
    }
  }
}
