/** Arguments for Node to run the `weir` command, taken from its first line, which the shell would apply. */
export const WEIR: readonly string[] = ['--max-semi-space-size=4', 'packages/gateway/bin/weir.js']
