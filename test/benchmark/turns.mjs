// Machines that run the same programs take turns, a program each: while one runs the others are stopped, so that what the real machine
// does in these seconds (its clock speed, other load) meets all of them alike.

export class Turns {
  /** Who is next comes first. */
  #order;
  /** By machine, what lets it go on. */
  #waiting = new Map();

  constructor(machines) {
    this.#order = [...machines];
  }

  /** Stops a machine's processes until it is its turn, which lasts until it waits again or ends. */
  async wait(machine, children) {
    for (const child of children) child.kill("SIGSTOP");
    await new Promise((resolve) => {
      this.#waiting.set(machine, resolve);
      this.#advance();
    });
    for (const child of children) child.kill("SIGCONT");
  }

  end(machine) {
    this.#order = this.#order.filter((each) => each !== machine);
    this.#waiting.delete(machine);
    this.#advance();
  }

  #advance() {
    if (this.#order.length === 0 || this.#waiting.size < this.#order.length) return;
    const machine = this.#order.shift();
    this.#order.push(machine);
    const go = this.#waiting.get(machine);
    this.#waiting.delete(machine);
    go();
  }
}
