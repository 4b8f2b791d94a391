// What guests' events ask of backends, put off until the vCPU's turn is over, as a dom0 on another CPU would see them a little later:
// what a guest sends meanwhile is taken in one go, and its kernel sees its device busy, so that TCP joins small writes to large
// packets. Where a backend says that it found one request at a time, waiting only has the guest go idle and come back: such events
// are seen to within the hypercall that sends them. Where two guests send each other small packets in turns, the sender gives way too:
// the answer is there before it would go idle, and the other one finds the next question when it comes back. In the order of the events, so that a run can be repeated.

/** Events seen to at once before one is put off again, to see whether the guest would have sent more meanwhile. */
const MOST_AT_ONCE = 31;

export class DeferredEvents {
  readonly #giveWay: () => void;
  #waiting: (() => void)[] = [];
  #running: (() => void)[] = [];

  /** `giveWay`: the guest that is running lets others run first. */
  constructor(giveWay: () => void = () => {}) {
    this.#giveWay = giveWay;
  }

  /** A callback that runs `work` once in the next `flush`, however often it is called before. */
  defer(work: () => void): () => void {
    return this.deferBursts(() => {
      work();
      return 0;
    });
  }

  /** The same, or at once, while `work`, which returns how many requests it found, finds one at a time. */
  deferBursts(work: () => number): () => void {
    let isWaiting = false;
    /** Events to see to at once, and how many it were the last time. */
    let left = 0;
    let granted = 0;
    const run = () => {
      isWaiting = false;
      granted = work() === 1 ? Math.min(2 * granted + 1, MOST_AT_ONCE) : 0;
      left = granted;
    };
    return () => {
      if (isWaiting) return;
      if (left > 0) {
        left--;
        work();
        return;
      }
      isWaiting = true;
      this.#waiting.push(run);
    };
  }

  /** As `defer`, but at once when `isUrgent` says so; then the sender gives way to whom that woke. */
  deferUnless(isUrgent: () => boolean, work: () => void): () => void {
    const later = this.defer(work);
    return () => {
      if (!isUrgent()) {
        later();
        return;
      }
      work();
      this.#giveWay();
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
