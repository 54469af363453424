import { defineConfig } from 'vitest/config'

export default defineConfig({
  // As Node resolves by itself: with `development` there would be two copies of graphql, and neither knows the other's types.
  ssr: { resolve: { conditions: ['module-sync', 'node'] } },
  test: {
    include: ['packages/*/{src,test,contract}/**/*.test.ts', 'apps/*/test/**/*.test.ts', 'scripts/**/*.test.ts'],
    globalSetup: 'scripts/test-setup.ts',
    typecheck: { enabled: false },
    // A busy machine takes long; a test that hangs is still ended.
    testTimeout: 60_000,
    hookTimeout: 120_000,
    // A condition that is waited for may take long on a busy machine; it fails only when it never comes.
    expect: { poll: { timeout: 10_000 } },
    pool: 'forks',
    maxWorkers: 2,
  },
})
