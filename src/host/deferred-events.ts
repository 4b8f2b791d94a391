// What guests' events ask of backends, put off until the vCPU's turn is over, as a dom0 on another CPU would see them a little later:
// what a guest sends meanwhile is taken in one go, and its kernel sees its device busy, so that TCP joins small writes to large
// packets. In the order of the events, so that a run can be repeated.

export class DeferredEvents {
  #waiting: (() => void)[] = [];
  #running: (() => void)[] = [];

  /** A callback that runs `work` once in the next `flush`, however often it is called before. */
  defer(work: () => void): () => void {
    let isWaiting = false;
    const run = () => {
      isWaiting = false;
      work();
    };
    return () => {
      if (isWaiting) return;
      isWaiting = true;
      this.#waiting.push(run);
    };
  }

  /** What the work leads to, for other guests too, may be put off again: that is for the next one. */
  flush(): void {
    if (this.#waiting.length === 0) return;
    const work = this.#waiting;
    this.#waiting = this.#running;
    this.#running = work;
    for (const run of work) run();
    work.length = 0;
  }
}
