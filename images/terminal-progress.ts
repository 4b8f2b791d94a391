// Shows a build's progress on a terminal: one line that is drawn over, with a bar; without a terminal, one plain line for each
// piece of work. It knows nothing of images but their events.
import type { OnProgress, ProgressEvent } from "./progress.js";

/** Where to write: process.stderr has this shape. */
export interface ProgressOutput {
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
  write(text: string): unknown;
}

const VERBS = { index: "Reading", download: "Downloading", unpack: "Unpacking", assemble: "Writing image" } as const;
const BAR_WIDTH = 24;
const ERASE_LINE = "\r\x1b[K";
/** Redrawing more often than this shows nothing to the eye. */
const REDRAW_MS = 80;

/** A progress callback, and `close` to end the drawn line (call it on success, failure and Ctrl-C alike). */
export function terminalProgress(
  output: ProgressOutput,
  now: () => number = () => performance.now(),
): { onProgress: OnProgress; close: () => void } {
  let drawn = false;
  let lastDrawn = Number.NEGATIVE_INFINITY;
  let lastPiece = "";
  const close = () => {
    if (drawn) output.write(ERASE_LINE);
    drawn = false;
  };
  const plainLine = (text: string) => {
    close();
    output.write(`${text}\n`);
  };
  const onProgress = (event: ProgressEvent) => {
    if (event.phase === "done") return close();
    if (event.phase === "warning") return plainLine(`warning: ${event.what}`);
    const piece = `${VERBS[event.phase]} ${event.what}`;
    if (output.isTTY) {
      const due = piece !== lastPiece || now() - lastDrawn >= REDRAW_MS || event.done === event.total;
      if (!due) return;
      output.write(`${ERASE_LINE}${clip(bar(event) + piece + amount(event), output.columns ?? 80)}`);
      drawn = true;
      lastDrawn = now();
    } else if (piece !== lastPiece) {
      plainLine(event.total !== undefined && event.total > 1 ? `${piece} (${megabytes(event.total)})` : piece);
    }
    lastPiece = piece;
  };
  return { onProgress, close };
}

function bar({ done, total }: ProgressEvent): string {
  const filled = total ? Math.min(BAR_WIDTH, Math.floor((done / total) * BAR_WIDTH)) : 0;
  return `[${"#".repeat(filled)}${" ".repeat(BAR_WIDTH - filled)}] `;
}

function amount({ phase, done, total }: ProgressEvent): string {
  if (phase === "assemble") return "";
  return total === undefined ? ` ${megabytes(done)}` : ` ${megabytes(done)} of ${megabytes(total)}`;
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

/** One column is left free: writing the last one makes some terminals wrap. */
function clip(text: string, columns: number): string {
  return text.length < columns ? text : text.slice(0, Math.max(columns - 1, 0));
}
