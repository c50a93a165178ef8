import { inspect } from 'node:util'

const shown = '[secret]'

/**
 * A value that no log line, message, JSON document or template may hold by accident: only `expose()` gives it. The value is
 * not a property of the object, so that no serializer can find it.
 */
export class Secret<T> {
  readonly #value: T

  private constructor(value: T) {
    this.#value = value
  }

  static of<T>(value: T): Secret<T> {
    return new Secret(value)
  }

  /** The one place where the value comes out; callers keep it in as few places as possible. */
  expose(): T {
    return this.#value
  }

  toString(): string {
    return shown
  }

  toJSON(): string {
    return shown
  }

  get [Symbol.toStringTag](): string {
    return 'Secret'
  }

  [Symbol.toPrimitive](): string {
    return shown
  }

  [inspect.custom](): string {
    return shown
  }
}
