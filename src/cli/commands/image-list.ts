// xen-ts image list: the images in the cache, and what could be built.

import { statSync } from "node:fs";
import { type BuiltImage, listImages, RECIPES, resolveImageName, SUITE_NAMES } from "../../index.js";
import { command } from "../command.js";

interface Options {
  readonly json?: boolean;
}

export const imageList = command<Options>({
  path: ["image", "list"],
  summary: "list the images that were built, and those that can be",
  options: { json: { flags: "--json", description: "print JSON" } },
  run: async (_operands, { json }) => {
    const images = await listImages();
    const built = new Set(images.map(({ name }) => name));
    const names = RECIPES.flatMap((recipe) => SUITE_NAMES.map((suite) => `${recipe.name}-${suite}`));
    const available = names.filter((name) => !built.has(name));
    process.stdout.write(
      json
        ? `${JSON.stringify({ images: images.map(describe), available }, undefined, 2)}\n`
        : table(images, available),
    );
    return 0;
  },
});

function describe(image: BuiltImage) {
  const { name, kernel, initrd, manifest } = image;
  return {
    name,
    suite: manifest.suite,
    recipe: manifest.recipe,
    kernelRelease: manifest.kernelRelease,
    kernel,
    initrd,
    bytes: sizeOf(kernel) + sizeOf(initrd),
    isDefault: name === resolveImageName(undefined),
  };
}

function table(images: readonly BuiltImage[], available: readonly string[]): string {
  const rows = images.map((image) => {
    const { name, kernelRelease, bytes, isDefault } = describe(image);
    return [name, kernelRelease, `${(bytes / 1e6).toFixed(1)} MB`, isDefault ? "default" : ""];
  });
  const all = [["IMAGE", "KERNEL", "SIZE", ""], ...rows, ...available.map((name) => [name, "-", "-", "not built"])];
  const widths = [0, 1, 2].map((column) => Math.max(...all.map((row) => row[column]!.length)));
  return all
    .map(
      (row) =>
        `${row
          .map((cell, i) => cell.padEnd(widths[i] ?? 0))
          .join("  ")
          .trimEnd()}\n`,
    )
    .join("");
}

/** A file that has gone meanwhile counts as nothing. */
function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}
