// A finding's story: all of a short one, the beginning of a long one and the rest behind a click.
import { count } from "./format.ts";

/** A story of at most this many lines is told at once. */
const LINES = 12;
/** Of a longer one so many are, to leave room for the graph below. */
const FIRST_LINES = 8;

/** The lines that are told at once, and those that are told when asked for. */
export function splitStory(lines: string[]): { first: string[]; rest: string[] } {
  const at = lines.length > LINES ? FIRST_LINES : lines.length;
  return { first: lines.slice(0, at), rest: lines.slice(at) };
}

export function Story({ lines }: { lines: string[] }) {
  const { first, rest } = splitStory(lines);
  return (
    <>
      {first.map((line) => <p>{line}</p>)}
      {rest.length > 0 && (
        <details>
          <summary>Show all {count(lines.length)} lines</summary>
          {rest.map((line) => <p>{line}</p>)}
        </details>
      )}
    </>
  );
}
