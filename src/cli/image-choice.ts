// From the word IMAGE on the command line to a kernel and a ramdisk. An image that can be built is built when it isn't there.

import { closeSync, existsSync, openSync, readSync, statSync } from "node:fs";
import {
  type BuildImageOptions,
  type BuiltImage,
  buildImage,
  findImage,
  ImageError,
  RECIPES,
  resolveImageName,
  SUITE_NAMES,
  terminalProgress,
} from "../index.js";
import { CliError } from "./cli-error.js";
import { ExitCode, SIGNAL_CODES } from "./exit-codes.js";

/** @throws CliError, ImageError. */
export async function chooseImage(word: string | undefined): Promise<BuiltImage> {
  if (word !== undefined) refuseFile(word);
  const name = resolveImageName(word);
  try {
    return await findImage(name);
  } catch (error) {
    const isRepairable = error instanceof ImageError && (error.code === "not-found" || error.code === "checksum");
    if (!isRepairable) throw error;
    const chosen = recipeAndSuite(name);
    const why = error.code === "checksum" ? "is damaged" : "is not there yet";
    process.stderr.write(`xen-ts: the image ${name} ${why}: building it from Debian packages\n`);
    return buildWithProgress(chosen);
  }
}

/** What the image's name says. @throws CliError when no recipe makes it. */
export function recipeAndSuite(word: string): { recipe: string; suite: string } {
  const name = resolveImageName(word);
  for (const recipe of RECIPES)
    for (const suite of SUITE_NAMES) if (name === `${recipe.name}-${suite}`) return { recipe: recipe.name, suite };
  const known = RECIPES.flatMap((recipe) => SUITE_NAMES.map((suite) => `${recipe.name}-${suite}`));
  throw new CliError(ExitCode.BadInput, `there is no image ${name}; known are ${known.join(", ")}`);
}

/** Builds with a display on stderr. Ctrl-C stops it and leaves no half image. */
export async function buildWithProgress(options: BuildImageOptions): Promise<BuiltImage> {
  const { onProgress, close } = terminalProgress(process.stderr);
  const controller = new AbortController();
  const onInterrupt = () => controller.abort();
  process.once("SIGINT", onInterrupt);
  try {
    return await buildImage({ ...options, onProgress, signal: controller.signal });
  } catch (error) {
    if (!(error instanceof ImageError) || error.code !== "aborted") throw error;
    throw new CliError(SIGNAL_CODES.SIGINT, "interrupted; what was downloaded is kept");
  } finally {
    close();
    process.off("SIGINT", onInterrupt);
  }
}

/** A path instead of an image's name is a mistake that deserves its own explanation. */
function refuseFile(word: string): void {
  const stat = existsSync(word) ? statSync(word) : undefined;
  const isPath = word.includes("/") || /\.(img|raw|qcow2?|vhdx?|vmdk|vdi|iso)$/i.test(word);
  if (!stat?.isFile()) {
    if (isPath)
      throw new CliError(ExitCode.BadInput, `${word}: no such image; IMAGE is a name, see: xen-ts image list`);
    return;
  }
  if (looksLikeKernel(word)) throw new CliError(ExitCode.BadInput, `${word} is a kernel: use --kernel ${word}`);
  const text = `${word} is a file: disk images can't be booted yet; IMAGE names what "xen-ts image build" made`;
  throw new CliError(ExitCode.BadInput, text);
}

/** bzImage ("HdrS" at 0x202) or ELF. */
function looksLikeKernel(path: string): boolean {
  const head = Buffer.alloc(0x206);
  let file: number | undefined;
  try {
    file = openSync(path, "r");
    const count = readSync(file, head);
    return (
      head.toString("latin1", 0, 4) === "\x7fELF" || (count === 0x206 && head.toString("latin1", 0x202) === "HdrS")
    );
  } catch {
    // A file that can't be read is refused as a disk image.
    return false;
  } finally {
    if (file !== undefined) closeSync(file);
  }
}
