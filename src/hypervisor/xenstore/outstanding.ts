// Outstanding requests of one client (xenstored's quota of that name). A request is outstanding until its reply and all watch events that
// it caused, for whomever, are in the rings they go to, or are dropped: so nobody fills others' queues by asking on and on.

export class OutstandingRequests {
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** A request comes in. */
  begin(): OpenRequest {
    this.#count++;
    return new OpenRequest(() => {
      this.#count--;
    });
  }
}

/** It is over when its last hold is released. */
export class OpenRequest {
  #holds = 0;
  readonly #onDone: () => void;

  constructor(onDone: () => void) {
    this.#onDone = onDone;
  }

  /** Something of it is on its way. @returns what tells that it isn't any more; once */
  hold(): () => void {
    this.#holds++;
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      if (--this.#holds === 0) this.#onDone();
    };
  }
}
