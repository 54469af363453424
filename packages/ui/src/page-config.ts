import { gzipSync } from 'node:zlib'
import react from '@vitejs/plugin-react'
import type { Plugin, UserConfig } from 'vite'

const SCRIPT_BUDGET_KB = 120

/** The build configuration of an app's page: from `index.html` and `src/service-worker.ts` into `dist`. */
export const PAGE_CONFIG: UserConfig = {
  plugins: [react(), scriptBudget()],
  build: {
    outDir: 'dist',
    assetsDir: 'assets',
    emptyOutDir: true,
    rolldownOptions: {
      input: { index: 'index.html', 'service-worker': 'src/service-worker.ts' },
      // A service worker controls the paths below its URL, which must not change.
      output: { entryFileNames: ({ name }) => (name === 'service-worker' ? '[name].js' : 'assets/[name]-[hash].js') },
    },
  },
  worker: { format: 'es' },
}

/** Fails the build when the gzipped script of the page exceeds its size budget. */
function scriptBudget(): Plugin {
  return {
    name: 'script-budget',
    apply: 'build',
    generateBundle(_options, bundle) {
      const bytes = Object.values(bundle).reduce(
        (sum, file) => sum + (file.type === 'chunk' ? gzipSync(file.code).length : 0),
        0,
      )
      const size = `${(bytes / 1024).toFixed(1)} KB gzipped`
      if (bytes > SCRIPT_BUDGET_KB * 1024)
        this.error(`The page's script is ${size}; its budget is ${SCRIPT_BUDGET_KB} KB.`)
      this.info(`script ${size} of ${SCRIPT_BUDGET_KB} KB`)
    },
  }
}
