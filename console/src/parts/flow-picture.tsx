import type { JSX } from 'preact'
import { shortText } from '../numbers.ts'
import { hrefOf } from '../route.ts'
import { say } from '../words.ts'
import {
  NODE_HEIGHT,
  NODE_WIDTH,
  placeFlow,
  type Flow,
  type FlowEdge,
  type FlowNode,
} from './flow-layout.ts'

const TEXT_LENGTH_MAX = 19
/** Between two columns there is room for less. */
const KEY_LENGTH_MAX = 12

interface FlowPictureProps {
  readonly vhost: string
  readonly flow: Flow
  readonly label: string
}

/** Publishers on the left, consumers on the right; what is drawn here stands in tables below too. */
export function FlowPicture({ vhost, flow, label }: FlowPictureProps): JSX.Element {
  const { nodes, edges, width, height } = placeFlow(flow)
  const byId = new Map(nodes.map((node) => [node.id, node]))
  return (
    <div class="picture" role="region" aria-label={label} tabIndex={0}>
      <svg viewBox={`0 0 ${width} ${height}`} width={width} height={height} aria-label={label}>
        <defs>
          <marker
            id="arrow"
            viewBox="0 0 8 8"
            refX="7"
            refY="4"
            markerWidth="7"
            markerHeight="7"
            orient="auto"
          >
            <path d="M0 0L8 4L0 8z" class="arrow" />
          </marker>
        </defs>
        {edges.map((edge) => {
          const from = byId.get(edge.from)
          const to = byId.get(edge.to)
          if (from === undefined || to === undefined) return null
          return <Edge key={`${edge.from} ${edge.to}`} edge={edge} from={from} to={to} />
        })}
        {nodes.map((node) => (
          <Node key={node.id} node={node} vhost={vhost} />
        ))}
      </svg>
    </div>
  )
}

interface EdgeProps {
  readonly edge: FlowEdge
  readonly from: FlowNode
  readonly to: FlowNode
}

function Edge({ edge, from, to }: EdgeProps): JSX.Element {
  const x1 = from.x + NODE_WIDTH
  const y1 = from.y + NODE_HEIGHT / 2
  const x2 = to.x
  const y2 = to.y + NODE_HEIGHT / 2
  const middle = (x1 + x2) / 2
  return (
    <g class={`edge ${edge.isBusy ? 'busy' : ''}`}>
      <path
        d={`M${x1} ${y1}C${middle} ${y1} ${middle} ${y2} ${x2 - 2} ${y2}`}
        marker-end="url(#arrow)"
      />
      {edge.text !== '' && (
        <text x={x2 - 10} y={y2 - 6} text-anchor="end">
          <title>{edge.text}</title>
          {short(edge.text, KEY_LENGTH_MAX)}
        </text>
      )}
    </g>
  )
}

function Node({ node, vhost }: { readonly node: FlowNode; readonly vhost: string }): JSX.Element {
  const { kind, x, y, title, note, name } = node
  const drawn = (
    <g class={`node ${kind}`} transform={`translate(${x} ${y})`}>
      <title>{`${title} ${note}`}</title>
      <rect width={NODE_WIDTH} height={NODE_HEIGHT} rx="8" />
      <text x="10" y="19" class="title">
        {short(title)}
      </text>
      <text x="10" y="36" class="note">
        {short(note)}
      </text>
    </g>
  )
  return kind === 'queue' || kind === 'topic' ? (
    <a href={hrefOf('destination', vhost, name)}>{drawn}</a>
  ) : (
    drawn
  )
}

function short(text: string, lengthMax = TEXT_LENGTH_MAX): string {
  return text.length > lengthMax ? `${text.slice(0, lengthMax - 1)}…` : text
}

/** 12/s */
export function rateNote(rate: number): string {
  return say('unit.perSecond', { value: shortText(rate) })
}
