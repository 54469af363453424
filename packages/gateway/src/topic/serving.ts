import { AsyncLocalStorage } from 'node:async_hooks'
import { WeirError } from '../errors.ts'

/** The site whose code runs now: its loaders, its routes, its sockets. */
const current = new AsyncLocalStorage<object>()

/** Runs code of a site, in which declarations mean those of this site. */
export function within<Result>(site: object, run: () => Result): Result {
  return current.run(site, run)
}

/** Which sites serve a declaration, and what runs it in each. A copy of the declaration, as a region makes, shares it. */
export class Serving<Runner> {
  readonly #where: string
  readonly #runners = new Map<object, Runner>()

  /** @param where the declaration, for messages: `feed "/prices/:mint"` */
  constructor(where: string) {
    this.#where = where
  }

  begin(site: object, runner: Runner): void {
    this.#runners.set(site, runner)
  }

  end(site: object): void {
    this.#runners.delete(site)
  }

  isServedBy(site: object): boolean {
    return this.#runners.has(site)
  }

  /** What runs it in this site. @throws WeirError `internal` when the site does not serve it, or is closed */
  of(site: object): Runner {
    const runner = this.#runners.get(site)
    if (runner === undefined)
      throw new WeirError('internal', `${this.#where}: expected a gateway that serves it, got one that is closed`)
    return runner
  }

  /**
   * What runs it where it is served once; among several, what runs it in the site whose code is running.
   *
   * @throws WeirError `internal` when no gateway serves it, or several do
   */
  get only(): Runner {
    const runners = this.#runners
    if (runners.size === 1) for (const runner of runners.values()) return runner
    const runner = runners.get(current.getStore() ?? this)
    if (runner !== undefined) return runner
    const problem =
      runners.size === 0
        ? 'expected a running gateway, got none: start one with an app that uses it'
        : `expected one gateway that serves it, got ${runners.size}: name the gateway with gateway.of(…)`
    throw new WeirError('internal', `${this.#where}: ${problem}`)
  }
}
