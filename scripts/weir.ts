/** How Node runs the `weir` command: as its first line says, which a program that starts it by name of the file passes by. */
export const WEIR: readonly string[] = ['--max-semi-space-size=4', 'packages/gateway/bin/weir.js']
