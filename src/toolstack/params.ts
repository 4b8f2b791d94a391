// Reads the parameters of a control method: they come from another process and are believed only after a look.

import { INVALID_PARAMS, RpcError } from "../control/json-rpc.js";

const MAX_TEXT = 1 << 19;
const MAX_ITEMS = 256;

export class Params {
  readonly #values: Readonly<Record<string, unknown>>;

  constructor(params: unknown) {
    if (typeof params !== "object" || params === null || Array.isArray(params)) fail("parameters must be an object");
    this.#values = params as Record<string, unknown>;
  }

  #get(name: string): unknown {
    return Object.hasOwn(this.#values, name) ? this.#values[name] : undefined;
  }

  string(name: string, fallback?: string): string {
    const value = this.#get(name) ?? fallback;
    if (typeof value !== "string" || value.length > MAX_TEXT) return fail(`${name} must be a string`);
    return value;
  }

  optionalString(name: string): string | undefined {
    return this.#get(name) === undefined ? undefined : this.string(name);
  }

  flag(name: string, fallback = false): boolean {
    const value = this.#get(name) ?? fallback;
    return typeof value === "boolean" ? value : fail(`${name} must be true or false`);
  }

  /** A whole number in a range. */
  number(name: string, min: number, max: number): number {
    const value = this.#get(name);
    if (typeof value !== "number" || !Number.isInteger(value) || value < min || value > max)
      return fail(`${name} must be a whole number from ${min} to ${max}`);
    return value;
  }

  optionalNumber(name: string, min: number, max: number): number | undefined {
    return this.#get(name) === undefined ? undefined : this.number(name, min, max);
  }

  optionalNumbers(name: string, min: number, max: number): number[] | undefined {
    const value = this.#get(name);
    if (value === undefined) return undefined;
    const isNumber = (item: unknown) => Number.isInteger(item) && (item as number) >= min && (item as number) <= max;
    if (!Array.isArray(value) || value.length > MAX_ITEMS || !value.every(isNumber))
      return fail(`${name} must be a list of whole numbers from ${min} to ${max}`);
    return value;
  }

  strings(name: string): string[] {
    const value = this.#get(name) ?? [];
    if (!Array.isArray(value) || value.length > MAX_ITEMS || !value.every((item) => typeof item === "string"))
      return fail(`${name} must be a list of strings`);
    return value;
  }

  choice<const Choice extends string>(name: string, choices: readonly Choice[]): Choice {
    const value = this.#get(name);
    return choices.find((choice) => choice === value) ?? fail(`${name} must be one of ${choices.join(", ")}`);
  }
}

function fail(message: string): never {
  throw new RpcError(INVALID_PARAMS, message);
}
