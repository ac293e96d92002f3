/** Lets one waiter sleep until somebody wakes it; a call that came while it was awake is not lost. */
export class Waker {
  #isWoken = false;
  #resume: () => void = () => {};

  wake(): void {
    this.#isWoken = true;
    this.#resume();
  }

  async wait(): Promise<void> {
    if (!this.#isWoken) {
      await new Promise<void>((resolve) => {
        this.#resume = resolve;
      });
    }
    this.#isWoken = false;
  }
}
