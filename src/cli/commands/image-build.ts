// xen-ts image build: makes an image from Debian packages, or finds that it is up to date.

import { type BuiltImage, DEFAULT_RECIPE, DEFAULT_SUITE, RECIPES, SUITE_NAMES } from "../../index.js";
import { command } from "../command.js";
import { buildWithProgress, recipeAndSuite } from "../image-choice.js";

interface Options {
  readonly suite?: string;
  readonly recipe?: string;
  readonly offline?: boolean;
  readonly json?: boolean;
}

export const imageBuild = command<Options>({
  path: ["image", "build"],
  summary: "build an image from Debian packages, or bring it up to date",
  help: "Without NAME, --recipe and --suite say what is built; the name RECIPE-SUITE says both.",
  operands: [{ name: "name", description: "image to build, such as busybox-trixie" }],
  options: {
    suite: {
      flags: "--suite <suite>",
      description: `Debian suite (default: ${DEFAULT_SUITE})`,
      choices: SUITE_NAMES,
    },
    recipe: {
      flags: "--recipe <recipe>",
      description: `what is in it (default: ${DEFAULT_RECIPE})`,
      choices: RECIPES.map(({ name }) => name),
    },
    offline: { flags: "--offline", description: "use the cache only" },
    json: { flags: "--json", description: "print JSON" },
  },
  run: async ([name], options) => {
    const chosen = { ...(name === undefined ? {} : recipeAndSuite(name)), ...options };
    const { recipe, suite, offline } = chosen;
    const image = await buildWithProgress({
      ...(recipe === undefined ? {} : { recipe }),
      ...(suite === undefined ? {} : { suite }),
      ...(offline === undefined ? {} : { offline }),
    });
    process.stdout.write(
      options.json
        ? `${JSON.stringify(describe(image), undefined, 2)}\n`
        : `${image.name}: Linux ${image.manifest.kernelRelease}, ready\n`,
    );
    return 0;
  },
});

function describe({ name, kernel, initrd, manifestPath, manifest }: BuiltImage) {
  return { name, kernel, initrd, manifest: manifestPath, kernelRelease: manifest.kernelRelease, suite: manifest.suite };
}
