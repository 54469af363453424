import { join } from 'node:path'
import { build } from 'vite'

/** A script of this folder as one for a script tag: what it exports is in `weir`. */
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
