/**
 * The orders: a typed provider, which calls the warehouse itself.
 *
 *     node orders.ts rpc://127.0.0.1:7700
 */
import { connectChannel, createClient, RpcError, serve } from 'waystation/rpc'
import { Orders, Warehouse } from './contract.ts'

const channel = connectChannel(process.argv[2] ?? 'rpc://127.0.0.1:7700')
const warehouse = createClient(Warehouse, channel)
const orders = new Map<
  string,
  { readonly id: string; readonly sku: string; readonly count: number }
>()

const provider = serve(channel, Orders, {
  async place({ sku, count }) {
    // Where it fails, the order fails likewise; it has the time that is left of the order's.
    await warehouse.reserve({ sku, count })
    const order = { id: `order-${orders.size + 1}`, sku, count }
    orders.set(order.id, order)
    return order
  },
  find({ id }) {
    const order = orders.get(id)
    if (order === undefined) throw new RpcError('NOT_FOUND', `no order ${id}`)
    return order
  },
})
await provider.ready
console.log('orders are taken')
