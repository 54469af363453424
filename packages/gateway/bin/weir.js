#!/usr/bin/env -S node --max-semi-space-size=4
// The young generation is kept small: what connections leave behind when they come would otherwise stay with the process.
// Plain JavaScript, so that a Node too old for the rest can still say so.
const [major] = process.versions.node.split('.')
if (Number(major) < 24) {
  process.stderr.write(`weir: expected Node 24 or later, got ${process.versions.node}\n`)
  process.exit(1)
}
await import('../src/cli/main.ts')
