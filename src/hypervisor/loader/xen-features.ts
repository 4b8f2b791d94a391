// The feature string of a kernel (XEN_ELFNOTE_FEATURES, or FEATURES in __xen_guest; features.h):
// names joined by '|', each optionally preceded by '!' = the kernel can't run without it.

import * as features from "../public/features.js";

const PREFIX = "XENFEAT_";
const FEATURE_BITS: ReadonlyMap<string, number> = new Map(
  Object.entries(features).map(([name, bit]) => [name.slice(PREFIX.length), bit]),
);

export interface XenFeatureRequest {
  /** Bit mask (XENFEAT_ numbers) of what the kernel can make use of; includes `required`. */
  readonly supported: number;
  /** Bit mask of what it can't do without. */
  readonly required: number;
  /** Required names that features.h doesn't have. */
  readonly unknownRequired: readonly string[];
}

/** Parses a feature string. Unknown optional features mean nothing and are dropped. */
export function parseFeatures(text: string): XenFeatureRequest {
  let supported = 0;
  let required = 0;
  const unknownRequired: string[] = [];
  for (const item of text.split("|")) {
    const isRequired = item.startsWith("!");
    const name = isRequired ? item.slice(1) : item;
    const bit = FEATURE_BITS.get(name);
    if (bit === undefined) {
      if (isRequired) unknownRequired.push(name);
      continue;
    }
    supported |= 1 << bit;
    if (isRequired) required |= 1 << bit;
  }
  return { supported: supported >>> 0, required: required >>> 0, unknownRequired };
}

/** The names of the features in a bit mask; a bit without a name reads "bit 20". */
export function featureNames(mask: number): string[] {
  const names: string[] = [];
  for (let bit = 0; bit < 32; bit++) {
    if (((mask >>> bit) & 1) === 0) continue;
    names.push([...FEATURE_BITS].find(([, value]) => value === bit)?.[0] ?? `bit ${bit}`);
  }
  return names;
}
