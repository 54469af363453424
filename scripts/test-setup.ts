import { appFolders, buildClient, buildPages } from './pages.ts'

/** Builds the pages once before all tests, because parallel test files must not build the same page. */
export async function setup(): Promise<void> {
  // Vitest sets "test", for which Vite would build the development version of React.
  const before = process.env.NODE_ENV
  process.env.NODE_ENV = 'production'
  try {
    await buildPages(appFolders())
    await buildClient()
  } finally {
    process.env.NODE_ENV = before
  }
}
