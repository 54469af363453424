import type { App } from './app.ts'
import { ConfigError } from './errors.ts'
import type { UpstreamHealth } from './observe/metrics.ts'
import { type PipelineParts, type ProviderPath, providerPath, type RequestPath, requestPath } from './pipeline.ts'
import type { Upstream } from './upstream/upstream.ts'

/** Who asks an upstream: a feed, a proxy. */
interface Asker {
  readonly upstream: Upstream
  /** Where it is declared, for messages. */
  readonly where: string
}

/** The paths of all upstreams that some apps name. */
export interface Upstreams {
  of(plan: Asker): RequestPath
  health(): readonly UpstreamHealth[]
  close(): Promise<void>
}

/**
 * One path for each name: apps that name the same upstream share its budget.
 *
 * @throws ConfigError when they disagree on what it is
 */
export function openUpstreams(apps: readonly App[], parts: PipelineParts): Upstreams {
  const providers = new Map<string, ProviderPath>()
  const paths = new Map<string, RequestPath>()

  function provider(upstream: Upstream, where: string): ProviderPath {
    const path = providers.get(upstream.name) ?? providerPath(upstream, parts)
    providers.set(upstream.name, path)
    if (JSON.stringify(path.upstream.settings) === JSON.stringify(upstream.settings)) return path
    const expected = `the same settings for upstream "${upstream.name}" wherever it is declared`
    throw new ConfigError(where, 'from', expected, 'others')
  }

  function of({ upstream, where }: Asker): RequestPath {
    const own = upstream.providers.map((one) => provider(one, where))
    const path = paths.get(upstream.name) ?? requestPath(upstream, own, parts)
    paths.set(upstream.name, path)
    return path
  }

  async function close(): Promise<void> {
    await Promise.all([...providers.values()].map((path) => path.close()))
  }

  try {
    for (const part of apps.flatMap(({ use }) => use)) {
      if (part.kind !== 'feed' && part.kind !== 'proxy' && part.kind !== 'log') continue
      const { upstream, where } = part.plan
      if (upstream !== undefined) of({ upstream, where })
    }
  } catch (error) {
    // The caller gets the cause, not what closing might throw.
    close().catch(() => {})
    throw error
  }
  const all = [...providers.values()]
  return {
    of,
    health: () => all.map(({ upstream: { name }, budget: { queued, running } }) => ({ name, queued, running })),
    close,
  }
}
