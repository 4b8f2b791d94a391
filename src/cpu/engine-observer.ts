// Who measures the engine's own work (src/host): it has the clock, the engine has none.

/** What the engine does beside running guest code. Prepared, compiled and installed are regions of the JIT; with a service that
 * compiles in the background there is no "compile" here. */
export type EngineWork = "decode" | "prepare" | "compile" | "install";

export interface EngineObserver {
  begin(): void;
  /** `amount`: instructions of "decode", else regions. Calls don't nest. */
  end(work: EngineWork, amount: number): void;
}
