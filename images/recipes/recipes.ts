// The list of recipes. To add one: a file beside busybox.ts that exports a Recipe, and a line here.
import { ImageError } from "../image-error.js";
import { BUSYBOX } from "./busybox.js";
import { DEBIAN } from "./debian.js";
import type { Recipe } from "./recipe.js";
import { SMALL } from "./small.js";

export const RECIPES: readonly Recipe[] = [BUSYBOX, SMALL, DEBIAN];
export const DEFAULT_RECIPE = BUSYBOX.name;

/** Throws ImageError "not-found". */
export function findRecipe(name: string): Recipe {
  const recipe = RECIPES.find((candidate) => candidate.name === name);
  if (recipe !== undefined) return recipe;
  const names = RECIPES.map((candidate) => candidate.name).join(", ");
  throw new ImageError("not-found", `There is no recipe ${JSON.stringify(name)}; there is ${names}.`);
}
