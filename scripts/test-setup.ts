import { appFolders, buildClient, buildPages } from './pages.ts'

/** Once before all tests: those that serve an app serve its page, and two files building one page would trip each other up. */
export async function setup(): Promise<void> {
  // Vitest says "test" here, and Vite would build React as it is for developers: larger, slower, another page.
  const before = process.env.NODE_ENV
  process.env.NODE_ENV = 'production'
  try {
    await buildPages(appFolders())
    await buildClient()
  } finally {
    process.env.NODE_ENV = before
  }
}
