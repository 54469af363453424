import type { App } from './app.ts'
import { ConfigError } from './errors.ts'
import type { UpstreamHealth } from './observe/metrics.ts'
import { type PipelineParts, type ProviderPath, providerPath, type RequestPath, requestPath } from './pipeline.ts'
import { kindOf } from './site/kinds.ts'
import type { UpstreamUser } from './site/parts.ts'
import type { Upstream } from './upstream/upstream.ts'

/** The paths of all upstreams that the apps use. */
export interface Upstreams {
  of(user: UpstreamUser): RequestPath
  health(): readonly UpstreamHealth[]
  close(): Promise<void>
}

/**
 * Opens one path per name: apps that name the same upstream share its budget.
 *
 * @throws ConfigError if their settings differ
 */
export function openUpstreams(apps: readonly App[], parts: PipelineParts): Upstreams {
  const providers = new Map<string, ProviderPath>()
  const paths = new Map<string, RequestPath>()

  function provider(upstream: Upstream, where: string): ProviderPath {
    const path = providers.get(upstream.name) ?? providerPath(upstream, parts)
    providers.set(upstream.name, path)
    if (JSON.stringify(path.upstream.settings) === JSON.stringify(upstream.settings)) return path
    const expected = `the same settings for upstream "${upstream.name}" wherever it is declared`
    throw new ConfigError(where, 'from', expected, 'different settings')
  }

  function of({ upstream, where }: UpstreamUser): RequestPath {
    const own = upstream.providers.map((each) => provider(each, where))
    const path = paths.get(upstream.name) ?? requestPath(upstream, own, parts)
    paths.set(upstream.name, path)
    return path
  }

  async function close(): Promise<void> {
    await Promise.all([...providers.values()].map((path) => path.close()))
  }

  try {
    for (const part of apps.flatMap(({ use }) => use)) kindOf(part).upstreams?.(part).forEach(of)
  } catch (error) {
    // The caller gets the cause, not a later error of closing.
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
