/**
 * A road with a length, to run beside a region where the kernel can't make one. `node bench/regions/road.ts URL MILLISECONDS`: says its
 * address; each way takes so long.
 */
import { openCable } from '../../packages/gateway/test/cable.ts'

const [to = '', delay = '75'] = process.argv.slice(2)
const { url } = await openCable(to, Number(delay))
process.stdout.write(`road ${url}\n`)
