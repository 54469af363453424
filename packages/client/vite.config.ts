import { defineConfig } from 'vite'

/** `dist/weir.js` is the core as an ES module, `dist/weir.global.js` the same for a script tag: `weir.createClient()`. */
export default defineConfig({
  build: {
    target: 'es2022',
    // Vite leaves the spaces in ES modules of libraries.
    rolldownOptions: { output: { minify: true, comments: false } },
    lib: {
      entry: 'src/index.ts',
      name: 'weir',
      formats: ['es', 'iife'],
      fileName: (format) => (format === 'es' ? 'weir.js' : 'weir.global.js'),
    },
  },
})
