// The optional package that calls the C library, where Node has no call of its own.

type Koffi = typeof import("koffi").default;

/** `otherwise` says what becomes of it when the package isn't installed, or can't be loaded here. */
export function importKoffi<T>(otherwise: (cause: unknown) => T): Promise<Koffi | T> {
  return import("koffi").then((module) => module.default, otherwise);
}
