// Waits until all are done, whatever becomes of them, and then fails with the first failure: nothing goes on behind the caller.

export async function settleAll(promises: readonly Promise<unknown>[]): Promise<void> {
  for (const result of await Promise.allSettled(promises)) if (result.status === "rejected") throw result.reason;
}
