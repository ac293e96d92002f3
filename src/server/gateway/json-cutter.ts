/**
 * Cuts what arrives into JSON values, one after the other with or without white space between them. Of one value no more
 * is kept than is allowed, and nothing is parsed twice, however small the pieces are in which it comes.
 */
import { MessageSizeError } from '../../rpc/framing.ts';
import { RpcError, STATUS } from '../../rpc/status.ts';
import { isSpace, JsonGrammar } from './json-grammar.ts';

const SIZE_MIN = 4096;

export class JsonCutter {
  readonly #sizeMax: number;
  #grammar = new JsonGrammar();
  #buffer = Buffer.allocUnsafe(SIZE_MIN);
  /** In the buffer: where the current value begins, what was looked at, what came. */
  #from = 0;
  #at = 0;
  #end = 0;

  /** Values longer than `sizeMax` bytes are refused as RESOURCE_EXHAUSTED. */
  constructor(sizeMax: number) {
    this.#sizeMax = sizeMax;
  }

  /** Bytes that came and were not given out. */
  get size(): number {
    return this.#end - this.#from;
  }

  push(chunk: Uint8Array): void {
    if (this.#end + chunk.length > this.#buffer.length) this.#makeRoom(chunk.length);
    this.#buffer.set(chunk, this.#end);
    this.#end += chunk.length;
  }

  #makeRoom(more: number): void {
    const kept = this.size;
    const roomy = Buffer.allocUnsafe(Math.max(SIZE_MIN, 2 * (kept + more)));
    this.#buffer.copy(roomy, 0, this.#from, this.#end);
    this.#at -= this.#from;
    this.#from = 0;
    this.#end = kept;
    this.#buffer = roomy;
  }

  /** The next whole value, a copy; undefined when more bytes are needed. Throws INVALID_ARGUMENT for what is no JSON. */
  next(): Uint8Array | undefined {
    const grammar = this.#grammar;
    if (grammar.isBlank) this.#skipSpace();
    while (this.#at < this.#end) {
      this.#at += grammar.plainLength(this.#buffer, this.#at, this.#end);
      if (this.#at === this.#end) break;
      const step = grammar.step(this.#buffer[this.#at]!);
      if (typeof step === 'object') throw new RpcError(STATUS.invalidArgument, step.fault);
      if (step !== 'before') this.#at++;
      if (step !== 'more') return this.#cut();
    }
    this.#checkSize();
    return undefined;
  }

  /** As {@link next}, when no more bytes come. */
  last(): Uint8Array | undefined {
    const value = this.next();
    if (value !== undefined || this.#grammar.isBlank) return value;
    if (this.#grammar.canEnd) return this.#cut();
    throw new RpcError(STATUS.invalidArgument, 'unexpected EOF');
  }

  #skipSpace(): void {
    while (this.#at < this.#end && isSpace(this.#buffer[this.#at]!)) this.#at++;
    this.#from = this.#at;
  }

  #cut(): Uint8Array {
    this.#checkSize();
    const value = Buffer.from(this.#buffer.subarray(this.#from, this.#at));
    this.#from = this.#at;
    this.#grammar = new JsonGrammar();
    return value;
  }

  #checkSize(): void {
    const size = this.#at - this.#from;
    if (size <= this.#sizeMax) return;
    const text = `grpc: received message larger than max (${size} vs. ${this.#sizeMax})`;
    throw new MessageSizeError(text);
  }
}
