export type FlowKind = 'publisher' | 'exchange' | 'queue' | 'topic' | 'consumer'

/** What is drawn, before it has a place. */
export interface FlowItem {
  readonly id: string
  readonly kind: FlowKind
  readonly name: string
  readonly title: string
  readonly note: string
}

export interface FlowNode extends FlowItem {
  readonly x: number
  readonly y: number
}

export interface FlowEdge {
  readonly from: string
  readonly to: string
  readonly text: string
  readonly isBusy: boolean
}

export interface Flow {
  readonly items: readonly FlowItem[]
  readonly edges: readonly FlowEdge[]
}

interface PlacedFlow {
  readonly nodes: readonly FlowNode[]
  readonly edges: readonly FlowEdge[]
  readonly width: number
  readonly height: number
}

const COLUMN_WIDTH = 264
const ROW_HEIGHT = 62
const MARGIN = 12
export const NODE_WIDTH = 168
export const NODE_HEIGHT = 46

/**
 * In columns from left to right: an exchange that is bound to another one stands before it, then
 * destinations, then consumers. Within a column each stands near those that lead to it.
 */
export function placeFlow({ items, edges }: Flow): PlacedFlow {
  const depths = depthsOf(items, edges)
  const columnCount = Math.max(0, ...depths.values()) + 1
  const places = new Map<string, number>()
  const nodes: FlowNode[] = []
  let rows = 1
  for (let column = 0; column < columnCount; column++) {
    const here = items
      .filter(({ id }) => depths.get(id) === column)
      .map((item, index) => ({ item, wish: wishOf(item.id, edges, places) ?? index }))
      .toSorted((a, b) => a.wish - b.wish)
    rows = Math.max(rows, here.length)
    for (const [index, { item }] of here.entries()) {
      places.set(item.id, index)
      nodes.push({ ...item, x: MARGIN + column * COLUMN_WIDTH, y: MARGIN + index * ROW_HEIGHT })
    }
  }
  return {
    nodes,
    edges,
    width: 2 * MARGIN + (columnCount - 1) * COLUMN_WIDTH + NODE_WIDTH,
    height: 2 * MARGIN + rows * ROW_HEIGHT,
  }
}

/** The middle of those before it; null: nothing leads to it. */
function wishOf(
  id: string,
  edges: readonly FlowEdge[],
  places: ReadonlyMap<string, number>,
): number | null {
  const before = edges
    .filter(({ to }) => to === id)
    .map(({ from }) => places.get(from))
    .filter((place) => place !== undefined)
  return before.length === 0 ? null : before.reduce((sum, place) => sum + place, 0) / before.length
}

function depthsOf(items: readonly FlowItem[], edges: readonly FlowEdge[]): Map<string, number> {
  const depths = new Map<string, number>()
  const isExchange = new Set<string>()
  for (const { id, kind } of items) {
    if (kind === 'exchange') isExchange.add(id)
    depths.set(id, kind === 'publisher' ? 0 : 1)
  }
  // Bindings may go round in a circle: no more rounds than there are exchanges.
  let isMoving = true
  for (let round = 0; isMoving && round < isExchange.size; round++) {
    isMoving = false
    for (const { from, to } of edges) {
      if (!isExchange.has(from) || !isExchange.has(to) || from === to) continue
      const wanted = (depths.get(from) ?? 1) + 1
      if ((depths.get(to) ?? 1) >= wanted || wanted > isExchange.size) continue
      depths.set(to, wanted)
      isMoving = true
    }
  }
  const last = Math.max(1, ...[...isExchange].map((id) => depths.get(id) ?? 1))
  for (const { id, kind } of items) {
    if (kind === 'queue' || kind === 'topic') depths.set(id, last + 1)
    if (kind === 'consumer') depths.set(id, last + 2)
  }
  return depths
}
