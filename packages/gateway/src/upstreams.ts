import type { App } from './app.ts'
import { ConfigError } from './errors.ts'
import type { UpstreamHealth } from './observe/operations.ts'
import { type PipelineParts, type RequestPath, requestPath } from './pipeline.ts'
import type { FeedPlan } from './topic/feed.ts'

/** The paths of all upstreams that some apps name. */
export interface Upstreams {
  of(plan: FeedPlan): RequestPath
  health(): readonly UpstreamHealth[]
  close(): Promise<void>
}

/**
 * One path for each name: apps that name the same upstream share its budget.
 *
 * @throws ConfigError when they disagree on what it is
 */
export function openUpstreams(apps: readonly App[], parts: PipelineParts): Upstreams {
  const paths = new Map<string, RequestPath>()

  function of({ upstream, where }: FeedPlan): RequestPath {
    const path = paths.get(upstream.name) ?? requestPath(upstream, parts)
    paths.set(upstream.name, path)
    if (JSON.stringify(path.upstream.settings) === JSON.stringify(upstream.settings)) return path
    throw new ConfigError(
      where,
      'from',
      `the same settings for upstream "${upstream.name}" wherever it is declared`,
      'others',
    )
  }

  for (const part of apps.flatMap(({ use }) => use)) if (part.kind === 'feed') of(part.plan)
  const all = [...paths.values()]
  return {
    of,
    health: () => all.map(({ upstream: { name }, budget: { queued, running } }) => ({ name, queued, running })),
    close: async () => {
      await Promise.all(all.map((path) => path.close()))
    },
  }
}
