import { http, type JsonRpcCall, jsonRpc } from '../../src/index.ts'

http({ name: 'x' }) // refused: 'url' is missing
http({ name: 'x', url: 'http://x', timeout: 500 }) // refused: 'number' is not assignable
http({ name: 'x', url: 'http://x', maxResponse: '16mib' }) // refused: '"16mib"' is not assignable
http({ name: 'x', url: 'http://x', limit: [] }) // refused: 'limit' does not exist
http({ name: 'x', url: 'http://x', limits: [{ calls: 50, per: '1s', by: 'ip' }] }) // refused: '"ip"' is not assignable
http({ name: 'x', url: 'http://x', pastUsage: 'clean' }) // refused: '"clean"' is not assignable

jsonRpc({ name: 'x' }) // refused: 'url' is missing
jsonRpc({ name: 'x', url: 'http://x', conditional: true }) // refused: 'conditional' does not exist
declare const call: JsonRpcCall
call('getSlot', 1) // refused: not assignable to parameter of type
call('getSlot', [], { body: {} }) // refused: 'body' does not exist
