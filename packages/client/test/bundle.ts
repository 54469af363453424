import { join } from 'node:path'
import { build } from 'vite'

/** Bundles a script of this folder for a script tag; its exports are in `weir`. */
export async function bundle(script: string): Promise<string> {
  const built = await build({
    configFile: false,
    define: { 'process.env.NODE_ENV': '"production"' },
    logLevel: 'error',
    build: {
      write: false,
      lib: { entry: join(import.meta.dirname, 'pages', script), name: 'weir', formats: ['iife'], fileName: 'weir' },
    },
  })
  const [first] = Array.isArray(built) ? built : [built]
  if (first === undefined || !('output' in first)) throw new Error('expected a bundle')
  return first.output[0].code
}
