/** Closes something that was opened. */
export type Close = () => void | Promise<void>;

/** What has to be closed, last opened first. */
export class Closers {
  readonly #closers: Close[] = [];
  #closing: Promise<void> = Promise.resolve();

  add(close: Close): void {
    this.#closers.push(close);
  }

  /**
   * Closes all that was added so far, each once, also when one of them fails. Resolves once all is closed, for whoever
   * asks meanwhile as well.
   *
   * @throws what the first of them has failed with that were left to this call.
   */
  close(): Promise<void> {
    const closing = this.#closing.then(() => this.#closeAll());
    this.#closing = closing.catch(() => undefined); // Whoever has asked for it is told.
    return closing;
  }

  async #closeAll(): Promise<void> {
    const failures: unknown[] = [];
    for (let close = this.#closers.pop(); close !== undefined; close = this.#closers.pop()) {
      try {
        await close();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  }
}
