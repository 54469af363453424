import { type Running, weir } from '../../../scripts/running.ts'

export interface WorkerHealth {
  readonly id: number
  readonly pid: number
  readonly state: string
  readonly connections: number
  readonly rss: number
  readonly here?: true
}

/** Apps served by several workers. `await using` ends all of them. */
export class Workers implements AsyncDisposable {
  readonly running: Running
  readonly urls: readonly string[]

  private constructor(running: Running, urls: readonly string[]) {
    this.running = running
    this.urls = urls
  }

  /** Resolves when all of them listen. `args`: apps and options. */
  static async start(
    count: number,
    args: readonly string[],
    environment: Readonly<Record<string, string>>,
  ): Promise<Workers> {
    const running = weir(['start', ...args, '--port', '0', '--workers', String(count)], environment)
    await running.says(new RegExp(`^${count} workers$`, 'm'))
    return new Workers(
      running,
      [...running.said.matchAll(/^\w+ +(http:\S+)$/gm)].map(([, url = '']) => url),
    )
  }

  /** Of the first app. */
  get url(): string {
    return this.urls[0] ?? ''
  }

  get port(): number {
    return Number(new URL(this.url).port)
  }

  async health(): Promise<readonly WorkerHealth[]> {
    const answer = await fetch(`${this.url}/api/health`, { headers: { connection: 'close' } })
    const { workers }: { readonly workers: readonly WorkerHealth[] } = await answer.json()
    return workers
  }

  /** Those that serve, by number. */
  async serving(): Promise<readonly WorkerHealth[]> {
    return (await this.health()).filter(({ state }) => state === 'serving').sort((a, b) => a.id - b.id)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.running.signal('SIGTERM')
    // Longer than a drain may take.
    const late = setTimeout(() => this.running.signal('SIGKILL'), 15_000)
    await this.running.ended
    clearTimeout(late)
  }
}
